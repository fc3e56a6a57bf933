import BinaryCoding
import SharedState
import Synchronization
import SystemLayer
import WorkTransfer

/// The worker's side of a pool: takes tasks, one after the other, until it is told to leave.
struct PoolWorker {
    private let launch: LaunchBlock
    private let pool: PoolBlock
    private let index: Int
    private let header: PoolBlock.Header
    private let writer: SlotByteWriter
    /// Functions that have come before, by the place of their description; the last one by itself, as it is the next one most of the time.
    private var invocations: [FunctionPlace: ResolvedInvocation] = [:]
    private var last: (place: FunctionPlace, invocation: Unmanaged<ResolvedInvocation>)?
    /// Which entries of the worker's record are still to be tried.
    private var reserved: Range<Int>
    /// Whether others may look into the record.
    private var isBunched: Bool
    /// How far the other workers had come when this one last looked.
    private var seen: [UInt64]
    private var lookAt = 0
    /// When this worker last woke another.
    private var lastCall: UInt64 = 0
    /// Shared objects in results that the host may not have taken yet: once it has, it holds them itself.
    private var sent: [(task: ClaimedTask, objects: [AnyObject])] = []

    init(_ launch: LaunchBlock) {
        self.launch = launch
        pool = PoolBlock(at: launch.header.pointee.pool, in: launch.arena)
        index = launch.header.pointee.index
        header = pool.header
        writer = SlotByteWriter(in: launch.arena)
        // What a predecessor that died has left.
        reserved = RecordProgress(rawValue: pool.progress(index).pointee.load(ordering: .acquiring)).untried
        isBunched = true
        seen = Array(repeating: 0, count: pool.workers)
    }

    consuming func run() -> Never {
        initialize()
        pool.phase(index).pointee.store(1, ordering: .releasing)
        pool.callSupervisor()
        var left = header.tasksPerWorker == 0 ? Int.max : header.tasksPerWorker
        while let task = nextTask(atMost: left) {
            perform(task)
            left -= 1
            if left == 0 { break }
            if header.memoryLimit != 0, ThisProcess.privateMemory ?? 0 > header.memoryLimit { break }
        }
        pool.phase(index).pointee.store(2, ordering: .releasing)
        keepUntilReclaimed(sent.flatMap(\.objects))
        endWorker(code: 0)
    }

    /// Runs the pool's initializer, if it has one. A worker whose initializer fails never takes a task.
    private func initialize() {
        guard launch.header.pointee.functionBytes != 0 else { return }
        let nothing = HeapByteWriter()
        do throws(InvocationFailure) {
            try launch.invokeFunction(result: nothing)
        } catch {
            launch.report(.notStarted) { ErrorTransfer.encode(error.underlying, to: $0) }
            endWorker(code: 1)
        }
    }

    // MARK: Finding a task

    /// Waits for a task; nil when the worker is to leave.
    @inline(__always)
    private mutating func nextTask(atMost limit: Int) -> ClaimedTask? {
        pool.claimReserved(&reserved, for: index) ?? findTask(atMost: limit)
    }

    @inline(never)
    private mutating func findTask(atMost limit: Int) -> ClaimedTask? {
        while true {
            if isBunched { pool.setBunched(index, false) }
            isBunched = false
            if let task = relieve() { return passingOn(task) }
            let count = pool.reserve(for: index, atMost: limit)
            if count > 0 {
                isBunched = count > 1
                if isBunched { pool.setBunched(index, true) }
                // With more to do than this worker can take at once, another one should be up.
                if isBunched || pool.hasWork { pool.callWorkerSparingly(&lastCall) }
                pool.announceProgress()
                reserved = 0..<count
                if let task = pool.claimReserved(&reserved, for: index) { return task }
                continue
            }
            if let task = pool.steal(for: index) { return passingOn(task) }
            if pool.leave.pointee.load(ordering: .acquiring) != 0 { return nil }
            if spin() { continue }
            // Not before: to look at a slot while its host waits to take the result, or fills it for the next task, takes the line away.
            if !sent.isEmpty { forgetTaken() }
            RunnableProcesses.remove(launch.identity, in: pool.arena)
            pool.sleep(index) { pool.hasWork || isAnySentTaken || pool.leave.pointee.load(ordering: .sequentiallyConsistent) != 0 }
            RunnableProcesses.add(launch.identity, in: pool.arena)
            if !sent.isEmpty { forgetTaken() }
        }
    }

    /// The call that this worker came by, or that nobody made as it was looking, was perhaps for another task than the one it has found.
    private mutating func passingOn(_ task: ClaimedTask) -> ClaimedTask {
        if pool.hasWork { pool.callWorkerSparingly(&lastCall) }
        return task
    }

    /// Takes over a task of a worker that has not come on since this one last looked at it: what waits behind a long task should not wait until the queue is empty.
    private mutating func relieve() -> ClaimedTask? {
        guard pool.workers > 1 else { return nil }
        lookAt = lookAt + 1 < pool.workers ? lookAt + 1 : 0
        guard lookAt != index else { return nil }
        let progress = pool.progress(lookAt).pointee.load(ordering: .relaxed)
        defer { seen[lookAt] = progress }
        guard progress == seen[lookAt], !RecordProgress(rawValue: progress).untried.isEmpty else { return nil }
        return pool.steal(from: lookAt, for: index)
    }

    /// Looks for work for a while, if that keeps no other process from a processor. Returns whether there may be some.
    private func spin() -> Bool {
        guard header.spinNanoseconds > 0, isSpinningFree else { return false }
        // From here on it is for this worker to find what is published, and then to call others if there is more. (Where there are no others, nobody asks.)
        if pool.workers > 1 { pool.setSearching(index, true) }
        defer { if pool.workers > 1 { pool.setSearching(index, false) } }
        let end = monotonicNow() + header.spinNanoseconds
        repeat {
            for _ in 0..<64 {
                if !pool.isQueueEmpty { return true }
                spinPause()
            }
            if pool.hasReserved { return true }
        } while monotonicNow() < end && isSpinningFree && pool.leave.pointee.load(ordering: .relaxed) == 0
        return false
    }

    private var isSpinningFree: Bool { header.processors == .max || RunnableProcesses.count(in: pool.arena) <= header.processors }

    // MARK: Running it

    private mutating func perform(_ task: ClaimedTask) {
        let slot = task.slot
        if header.notesTimes { pool.claimedAt(slot).pointee.store(monotonicNow(), ordering: .releasing) }
        let result = pool.resultParts
        if !sent.isEmpty { forgetTaken(before: task) }
        writer.begin(result, slot, of: pool)
        var phase = SlotWord.Phase.value
        var handles: UInt32 = 0
        var isBareHandle = false
        do {
            let invocation = try invocation(pool.function(slot))
            var arguments = ByteReader(pool.bytes(pool.argumentsParts, slot))
            do throws(InvocationFailure) {
                try invocation.takeUnretainedValue().invoke(arguments: &arguments, result: writer)
            } catch {
                throw error.underlying
            }
            if writer.retainsObjects {
                isBareHandle = writer.isOneHandle
                if !isBareHandle { handles = try writer.appendHandles() }
            }
        } catch {
            writer.removeAll()
            ErrorTransfer.encode(error, to: writer)
            // An error may hold shared objects as a result may. Without memory to name them in, they are not there for who decodes it, who is told so.
            handles = (try? writer.appendHandles()) ?? 0
            phase = .error
        }
        if handles > 0 { pool.resultHandles(slot).pointee = handles }
        writer.end(result, slot, of: pool, handles: handles > 0, isBareHandle: isBareHandle)
        // What the task has printed is seen before its result is.
        ThisProcess.flushOutput()
        finish(task, phase, sendsObjects: handles > 0 || isBareHandle)
    }

    /// Lets go of what the host holds by now: while it is taking a result out, this process still must.
    private mutating func forgetTaken() {
        let pool = pool
        sent.removeAll { Self.isTaken($0.task, in: pool) }
    }

    /// The same before a task: what came of the one before it in its slot has been taken, and its memory may be of use for this one.
    private mutating func forgetTaken(before task: ClaimedTask) {
        if sent.count == 1, sent[0].task.slot == task.slot {
            // Nearly always. The writer lets go of them when it begins, and keeps the room.
            writer.exchangeRetained(with: &sent[0].objects)
            sent.removeLast()
        } else {
            forgetTaken()
        }
    }

    private var isAnySentTaken: Bool { sent.contains { Self.isTaken($0.task, in: pool) } }

    private static func isTaken(_ task: ClaimedTask, in pool: PoolBlock) -> Bool {
        let word = pool.load(task.slot)
        return word != task.word && word != task.word.moved(to: .draining)
    }

    @inline(__always)
    private mutating func finish(_ task: ClaimedTask, _ phase: SlotWord.Phase, sendsObjects: Bool) {
        var current = task.word
        while true {
            let new = current.moved(to: phase)
            if pool.move(task.slot, from: current, to: new) {
                pool.announceEnd(of: task.slot, old: current)
                if sendsObjects { keep(for: ClaimedTask(slot: task.slot, word: new)) }
                return
            }
            current = pool.load(task.slot)
            // The host has given the task up, and this process with it.
            if current.phase != .claimed || current.worker != index || current.use != task.word.use { ThisProcess.end(code: 0) }
        }
    }

    /// Keeps the objects of a result that has just been sent.
    private mutating func keep(for task: ClaimedTask) {
        var objects: [AnyObject] = []
        writer.exchangeRetained(with: &objects)
        sent.append((task, objects))
    }

    @inline(__always)
    private mutating func invocation(_ place: FunctionPlace) throws -> Unmanaged<ResolvedInvocation> {
        if let last, last.place == place { return last.invocation }
        return try otherInvocation(place)
    }

    @inline(never)
    private mutating func otherInvocation(_ place: FunctionPlace) throws -> Unmanaged<ResolvedInvocation> {
        let invocation: ResolvedInvocation
        if let known = invocations[place] {
            invocation = known
        } else {
            invocation = try Rehearsal.function(at: place.offset) ?? resolveInvocation(launch.memory(place.offset, place.bytes))
            invocations[place] = invocation
        }
        // `invocations` keeps it.
        let unmanaged = Unmanaged.passUnretained(invocation)
        last = (place, unmanaged)
        return unmanaged
    }
}
