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
    /// Functions that have come before, by the place of their description.
    private var invocations: [Int: any AnyInvocation] = [:]
    /// Shared objects in results that the host may not have taken yet: once it has, it holds them itself.
    private var sent: [(slot: Int, word: SlotWord, objects: [AnyObject])] = []

    init(_ launch: LaunchBlock) {
        self.launch = launch
        pool = PoolBlock(at: launch.header.pointee.pool, in: launch.arena)
        index = launch.header.pointee.index
        header = pool.header
    }

    consuming func run() -> Never {
        initialize()
        pool.phase(index).pointee.store(1, ordering: .releasing)
        pool.callSupervisor()
        var done = 0
        while let (slot, word) = nextTask() {
            // With more to do than this worker can take, another one should be up.
            if !pool.isQueueEmpty { pool.callWorker() }
            perform(slot, word)
            done += 1
            if header.tasksPerWorker != 0, done >= header.tasksPerWorker { break }
            if header.memoryLimit != 0, ThisProcess.privateMemory ?? 0 > header.memoryLimit { break }
        }
        pool.phase(index).pointee.store(2, ordering: .releasing)
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

    /// Waits for a task; nil when the worker is to leave.
    private func nextTask() -> (slot: Int, word: SlotWord)? {
        while true {
            if let task = pool.claim(for: index) { return task }
            if pool.leave.pointee.load(ordering: .acquiring) != 0 { return nil }
            if spin() { continue }
            pool.sleep(index) { !pool.isQueueEmpty || pool.leave.pointee.load(ordering: .sequentiallyConsistent) != 0 }
        }
    }

    /// Looks for work for a while. Returns whether there may be some.
    private func spin() -> Bool {
        guard header.spinNanoseconds > 0 else { return false }
        let end = monotonicNow() + header.spinNanoseconds
        repeat {
            for _ in 0..<64 {
                if !pool.isQueueEmpty { return true }
                spinPause()
            }
        } while monotonicNow() < end && pool.leave.pointee.load(ordering: .relaxed) == 0
        return false
    }

    private mutating func perform(_ slot: Int, _ claimed: SlotWord) {
        pool.claimedAt(slot).pointee.store(monotonicNow(), ordering: .releasing)
        let fields = pool.fields(slot)
        let writer = ArenaByteWriter(pool.result(slot), in: pool.arena)
        var phase = SlotWord.Phase.value
        do {
            let invocation = try invocation(fields.pointee)
            var arguments = ByteReader(
                fields.pointee.argumentsBlock == 0
                    ? UnsafeRawBufferPointer(rebasing: pool.arguments(slot)[..<fields.pointee.argumentsBytes])
                    : launch.memory(fields.pointee.argumentsBlock, fields.pointee.argumentsBytes))
            do throws(InvocationFailure) {
                try invocation.invoke(arguments: &arguments, result: writer)
            } catch {
                throw error.underlying
            }
            fields.pointee.resultHandles = try writer.appendHandles()
        } catch {
            writer.removeAll()
            fields.pointee.resultHandles = 0
            ErrorTransfer.encode(error, to: writer)
            phase = .error
        }
        let objects = writer.retained
        (fields.pointee.resultBytes, fields.pointee.resultBlock) = writer.relinquish()
        // What the task has printed is seen before its result is.
        ThisProcess.flushOutput()
        finish(slot, claimed, phase, objects)
    }

    private mutating func finish(_ slot: Int, _ claimed: SlotWord, _ phase: SlotWord.Phase, _ objects: [AnyObject]) {
        // The host holds what a result names only once it has made the slot free: while it is taking the result out, this process still must.
        sent.removeAll { sent in
            let word = pool.load(sent.slot)
            return word != sent.word && word != sent.word.moved(to: .draining)
        }
        var current = claimed
        while true {
            let new = current.moved(to: phase)
            if pool.move(slot, from: current, to: new) {
                if !objects.isEmpty { sent.append((slot, new, objects)) }
                return pool.announceEnd(of: slot, old: current)
            }
            current = pool.load(slot)
            // The host has given the task up, and this process with it.
            if current.phase != .claimed || current.worker != index || current.use != claimed.use { ThisProcess.end(code: 0) }
        }
    }

    private mutating func invocation(_ fields: PoolBlock.SlotFields) throws -> any AnyInvocation {
        if let known = invocations[fields.function] { return known }
        let resolved =
            try Rehearsal.function(at: fields.function) ?? resolveInvocation(launch.memory(fields.function, fields.functionBytes))
        invocations[fields.function] = resolved
        return resolved
    }
}
