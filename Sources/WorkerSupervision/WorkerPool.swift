public import BinaryCoding
import Glibc
import MachineTopology
import SharedState
import Synchronization
import SystemLayer
public import WorkTransfer

/// The host's side of a pool of workers: publishes tasks, takes out results, and, on one thread of its own, supervises the workers.
///
/// Only the process that made it may use it: in a forked child it is a copy without a thread, and refuses.
@usableFromInline
package final class WorkerPool: @unchecked Sendable {
    // Unchecked: `lock` guards everything that changes, but for what follows a slot's word (see SlotRecord); the shared memory is used as the room's README says.
    let arena: Arena
    let block: PoolBlock
    let host: ProcessIdentity
    let configuration: WorkerConfiguration
    package let name: String
    let initializer: PoolInitializer?
    let placements: [[Int]?]
    /// Where its workers work: where the host did when it made the pool.
    let directory = ThisProcess.directory

    /// Held while the queue's tail moves, and while slots are taken and given back.
    let lock = HostLock()
    /// Slots that hold nothing, the one used last at the end.
    @exclusivity(unchecked) var freeSlots: [Int] = []
    /// Slots that have ever been used are those below.
    @exclusivity(unchecked) var usedSlots = 0
    let records: UnsafeMutablePointer<SlotRecord>
    /// How many tasks have been published; how many of them have their outcome.
    @exclusivity(unchecked) private var published = 0
    private let ended = Atomic<Int>(0)
    /// Whether no more work is taken.
    let isClosing = Atomic<Bool>(false)
    /// Where the head of the queue has been seen.
    @exclusivity(unchecked) var knownHead: UInt64 = 0
    /// When a thread of this process last woke a worker.
    @exclusivity(unchecked) var lastCall: UInt64 = 0
    var workers: [WorkerRecord]
    /// How many there are to be, whoever is dead at the moment.
    package let workerCount: Int
    @exclusivity(unchecked) var phase = Phase.open
    var events: [Event] = []
    /// Tasks that are to end by a certain time.
    var deadlines: [(deadline: Deadline, task: TaskCore, error: TaskTimeout)] = []
    /// Until when a pool that is being terminated asks its workers to end, before it kills them.
    var killBy = Deadline(instant: 0)
    /// What workers are ended with. Under the lock.
    var endingSignal: Int32 { killBy.hasPassed ? SIGKILL : SIGTERM }
    /// Set once every worker has ended and none will be started.
    package let finished = TaskCore()
    /// How long threads look for a result before they sleep, and with how many processes at most that could use a processor.
    private let spinning: (processors: Int, nanoseconds: UInt64)
    /// A writer that nobody uses at the moment.
    private let spareWriter = Spare<SlotByteWriter>()
    /// A run for calls that are waited for, likewise.
    let spareRun = Spare<TaskRun>()

    enum Phase {
        case open
        /// Takes no more work; ends when there is none left.
        case closing
        /// Every task has been given up, every worker is being killed.
        case terminated(any Error)

        var refusal: (any Error)? {
            switch self {
            case .open: nil
            case .closing: PoolError.shutDown
            case .terminated(let error): error
            }
        }
    }

    enum Event {
        case workerEnded(index: Int, identity: ProcessIdentity, TerminationStatus)
    }

    /// - Throws: ``UsageError``, `PlacementError`, ``SharedMemoryError``, `SystemError`, `TransferError` for an initializer that cannot travel. What had been
    ///   started is ended again.
    package init(workers count: Int?, initializer: PoolInitializer?, configuration: WorkerConfiguration) throws {
        try configuration.validate()
        let allowance = Allowance.current
        let count = count ?? allowance.workerCount
        guard count >= 1 else { throw UsageError("A pool of \(count) workers cannot work: ask for 1 or more, or leave the number out.") }
        guard count <= PoolBlock.mostWorkers else {
            throw UsageError("A pool has at most \(PoolBlock.mostWorkers) workers; \(count) were asked for.")
        }
        placements = try configuration.placements(workers: count)
        let arena = try Arena.current()
        self.arena = arena
        host = CurrentProcess.identity(in: arena)
        self.configuration = configuration
        self.initializer = try initializer?.encoded()
        name = "mp-pool"

        var slots = PoolBlock.leastSlots
        while slots < count * 64, slots < PoolBlock.mostSlots { slots *= 2 }
        var header = PoolBlock.Header()
        header.workers = count
        header.slots = slots
        switch configuration.waiting {
        case .adaptive:
            // About as long as it takes to wake a sleeper: at worst, waiting costs twice what it must.
            header.spinNanoseconds = 50_000
            header.processors = allowance.workerCount
        case .blocking:
            break
        case .spinning:
            header.spinNanoseconds = 2_000_000
        }
        spinning = (processors: header.processors, nanoseconds: header.spinNanoseconds)
        header.tasksPerWorker = configuration.maxTasksPerWorker ?? 0
        header.memoryLimit = UInt64(configuration.memoryLimit?.bytes ?? 0)
        header.notesTimes = configuration.taskTimeout != nil
        block = try PoolBlock(header: header, in: arena)
        records = .allocate(capacity: slots)
        records.initialize(repeating: SlotRecord(), count: slots)
        workers = (0..<count).map { _ in WorkerRecord() }
        workerCount = count
        // What was printed before is seen before what the workers print.
        ThisProcess.flushOutput()
        do {
            for index in 0..<count { try startWorker(index) }
            try startThread(name: name) { [self] in supervise() }
        } catch {
            undoStart()
            throw error
        }
    }

    deinit {
        // Every worker has ended, and no task can be asking any more.
        if isHost { arena.free(block.offset) }
        records.deinitialize(count: block.slots)
        records.deallocate()
    }

    var isHost: Bool { CurrentProcess.identity(in: arena) == host }

    /// Throws in a process that this pool is only a copy in.
    func checkHost() throws {
        guard isHost else {
            throw UsageError(
                "This pool belongs to another process, of which the calling one is a fork. Make a pool in this process instead.")
        }
    }

    // MARK: Submitting

    /// Submits a call of `invocation`'s function, as `task`, which fails if that cannot be. Blocks only while as many tasks as there are slots have no outcome.
    /// - Parameters:
    ///   - key: the invocation's key; see ``FunctionCatalog/entry(for:in:_:)``.
    ///   - isSupervised: the outcome is wanted without anybody asking for it.
    ///   - timeout: from now; the task's worker is killed when it passes.
    @usableFromInline
    package func submit(
        _ task: TaskCore, _ key: FunctionKey?, isSupervised: Bool = false, timeout: Duration? = nil, _ invocation: () -> ErasedInvocation,
        _ encodeArguments: (ByteWriter) throws -> Void
    ) {
        let deadline = timeout.map { (Deadline(after: $0), $0) }
        do {
            try checkHost()
            let function = try FunctionCatalog.entry(for: key, in: arena) { invocation().invocation }
            let writer = spareWriter.take() ?? makeWriter()
            defer { giveBack(writer) }
            var slot = try writer.takeSlot() ?? takeSlot()
            do {
                if try !fill(slot, FunctionPlace(function), writer, encodeArguments) {
                    slot = try takeSlot()
                    put(FunctionPlace(function), writer, in: slot)
                }
            } catch {
                if writer.isApart { writer.discard() } else { returnSlot(slot) }
                throw error
            }
            records[slot].task = .passUnretained(task)
            task.slot = Int32(truncatingIfNeeded: slot)
            try publish(task, in: slot, isSupervised: isSupervised, deadline: deadline, nextFor: writer)
        } catch {
            task.complete(.failure(error))
        }
    }

    /// Leaves a writer to who needs one next.
    @inline(__always)
    private func giveBack(_ writer: SlotByteWriter) {
        if writer.retainsObjects { writer.forget() }
        if let other = spareWriter.give(writer), let slot = other.takeSlot() { returnSlot(slot) }
    }

    private func makeWriter() -> SlotByteWriter {
        let writer = SlotByteWriter(in: arena)
        writer.whenLeaving = { [unowned self] slot in if slot >= 0 { returnSlot(slot) } }
        return writer
    }

    /// Puts a function and its arguments into a slot that is the caller's.
    /// - Returns: false when the writer has left the slot, as the user's code was to run: then another slot has to be found for what it holds.
    @inline(__always)
    func fill(
        _ slot: Int, _ function: FunctionPlace, _ writer: SlotByteWriter, _ encodeArguments: (ByteWriter) throws -> Void
    ) throws -> Bool {
        writer.begin(block.argumentsParts, slot, of: block)
        do {
            try encodeArguments(writer)
        } catch {
            writer.discard()
            throw error
        }
        if writer.isApart { return false }
        put(function, writer, in: slot)
        return true
    }

    /// Puts a function and the arguments that `writer` holds into a slot that is the caller's.
    @inline(__always)
    func put(_ function: FunctionPlace, _ writer: SlotByteWriter, in slot: Int) {
        writer.end(block.argumentsParts, slot, of: block)
        // What was there before is gone, but for its room.
        if writer.retainsObjects { writer.exchangeRetained(with: &records[slot].retained) }
        set(function, in: slot)
    }

    /// Says what is to be done with the arguments in a slot that is the caller's.
    @inline(__always)
    func set(_ function: FunctionPlace, in slot: Int) {
        block.setFunction(function, slot)
        if configuration.taskTimeout != nil { block.claimedAt(slot).pointee.store(0, ordering: .relaxed) }
    }

    /// - Parameter nextFor: gets a slot for the next task, if there is one, as the lock is held anyway.
    private func publish(
        _ task: TaskCore, in slot: Int, isSupervised: Bool, deadline: (Deadline, Duration)?, nextFor writer: SlotByteWriter
    ) throws {
        while true {
            let published: Bool = try lock.withLock {
                guard case .open = phase else { throw refuse(slot) }
                guard block.room(atLeast: 1, &knownHead) > 0 else { return false }
                task.use = makeReady(slot, flags: isSupervised ? SlotWord.supervised : 0)
                block.enqueue(slot, use: task.use, ahead: 0)
                block.publish(1)
                countPublished(1)
                if let (deadline, timeout) = deadline {
                    deadlines.append((deadline, task, TaskTimeout("The task did not finish within \(timeout), and its worker was ended.")))
                }
                block.callWorkerSparingly(&lastCall)
                if let next = freeSlots.popLast() { writer.nextSlot = next }
                return true
            }
            if published { break }
            // Not only for an end: the last one may have come between the attempt and here.
            waitForProgress { hasRoomOrRefuses || drainFinished() }
        }
        if deadline != nil || configuration.taskTimeout != nil { block.callSupervisor() }
    }

    /// Frees a slot whose task cannot be published. Under the lock. Returns why.
    @inline(never)
    private func refuse(_ slot: Int) -> any Error {
        clear(slot)
        freeSlots.append(slot)
        return phase.refusal ?? PoolError.shutDown
    }

    /// Counts tasks that are about to be published. Under the lock, which says that work is taken.
    @inline(__always)
    func countPublished(_ count: Int) { published += count }

    /// Counts tasks that have their outcome.
    @inline(__always)
    func countEnded(_ count: Int) {
        let ended = ended.wrappingAdd(count, ordering: .sequentiallyConsistent).newValue
        // Since before it closes, nothing is published.
        if isClosing.load(ordering: .sequentiallyConsistent), ended == published { block.callSupervisor() }
    }

    /// Whether some task has no outcome. Under the lock.
    var hasOutstanding: Bool { ended.load(ordering: .sequentiallyConsistent) != published }

    /// Makes a filled slot ready, in its next use. Under the lock.
    @inline(__always)
    func makeReady(_ slot: Int, flags: UInt64 = 0) -> UInt32 {
        // Never 0, which means that a task was not submitted.
        let use = max(1, block.load(slot).use &+ 1)
        block.word(slot).pointee.store(SlotWord(.ready, use: use, flags: flags).rawValue, ordering: .releasing)
        return use
    }

    /// Whether threads that wait ever keep their processor.
    var mayEverSpin: Bool { spinning.nanoseconds > 0 }

    /// Until when a thread that waits may keep its processor.
    func spinEnd() -> Deadline {
        guard spinning.nanoseconds > 0, spinning.processors == .max || RunnableProcesses.count(in: arena) <= spinning.processors else {
            return Deadline(instant: 0)
        }
        return Deadline(instant: Deadline.now.instant + spinning.nanoseconds)
    }

    // MARK: Slots

    private func takeSlot() throws -> Int {
        while true {
            let slot: Int? = try lock.withLock {
                if let refusal = phase.refusal { throw refusal }
                return popFreeSlot()
            }
            if let slot { return slot }
            waitForFreeSlot()
        }
    }

    /// Waits until a slot may be free, or the pool takes no more work. Results that nobody has asked for yet must not keep others waiting: they are taken out.
    func waitForFreeSlot() {
        if drainFinished() { return }
        waitForProgress { lock.withLock { !freeSlots.isEmpty || usedSlots < block.slots || phase.refusal != nil } || drainFinished() }
    }

    /// Whether the queue has room, or will not be asked for it any more.
    var hasRoomOrRefuses: Bool { lock.withLock { phase.refusal != nil || block.room(atLeast: 1, &knownHead) > 0 } }

    /// Under the lock. A slot that was used before comes first: its memory is warm.
    func popFreeSlot() -> Int? {
        if let slot = freeSlots.popLast() { return slot }
        guard usedSlots < block.slots else { return nil }
        block.initializeSlot(usedSlots)
        usedSlots += 1
        return usedSlots - 1
    }

    func returnSlot(_ slot: Int) {
        lock.withLock { freeSlots.append(slot) }
        wakePublishers()
    }

    /// Lets go of what a slot was filled with. It stays its owner's.
    @inline(__always)
    func empty(_ slot: Int) {
        let argumentsBlock = block.place(block.argumentsParts, slot).block
        if argumentsBlock != 0 { arena.free(argumentsBlock) }
        if !records[slot].retained.isEmpty { records[slot].retained.removeAll(keepingCapacity: true) }
        records[slot].attempts = 1
    }

    /// Makes a slot nobody's. Under the lock, once it has been published.
    func clear(_ slot: Int) {
        empty(slot)
        records[slot].task = nil
        records[slot].owner = nil
    }

    /// Sleeps until there is little left in the queue and a task has ended, or a slot has become free, unless `isThere` turns out true after this thread has announced itself.
    /// At most some milliseconds: of many tasks in the queue, one may have ended that others wait for.
    func waitForProgress(unless isThere: () -> Bool) {
        let seen = block.announcePublisher()
        if !isThere() { block.space.wait(while: seen, until: Deadline(after: .milliseconds(10))) }
    }

    /// Has threads look again that wait for room.
    func wakePublishers() { block.wakePublishers() }
}

/// What only the host knows of a slot's task.
///
/// It belongs to who holds the slot: who has taken it from the free ones, until the task is published; then who moves it to draining. `owner` is set to nil under the
/// pool's lock only, for the sake of those who condemn the slot: they look at it under the lock.
struct SlotRecord {
    /// A task by itself. Not kept alive: see ``TaskCore``.
    var task: Unmanaged<TaskCore>?
    /// Or whose call it is.
    var owner: TaskRun?
    var tag = 0
    var attempts = 1
    /// What must outlive the task's arguments.
    var retained: [AnyObject] = []
}

/// An object that nobody uses at the moment, or none.
struct Spare<Object: AnyObject>: ~Copyable {
    private let reference = Atomic<UInt>(0)

    deinit { _ = take() }

    /// Takes the object, if there is one.
    @inline(__always)
    borrowing func take() -> Object? {
        guard let pointer = UnsafeRawPointer(bitPattern: reference.exchange(0, ordering: .acquiringAndReleasing)) else { return nil }
        return Unmanaged<Object>.fromOpaque(pointer).takeRetainedValue()
    }

    /// Leaves the object to who needs one next. Returns the one that was there, if any, which nobody does.
    @inline(__always)
    @discardableResult
    borrowing func give(_ object: consuming Object) -> Object? {
        let new = UInt(bitPattern: Unmanaged.passRetained(object).toOpaque())
        let old = UnsafeRawPointer(bitPattern: reference.exchange(new, ordering: .acquiringAndReleasing))
        return old.map { Unmanaged<Object>.fromOpaque($0).takeRetainedValue() }
    }
}
