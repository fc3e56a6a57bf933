package import BinaryCoding
import Glibc
import MachineTopology
import SharedState
import Synchronization
import SystemLayer
package import WorkTransfer

/// The host's side of a pool of workers: publishes tasks, takes out results, and, on one thread of its own, supervises the workers.
///
/// Only the process that made it may use it: in a forked child it is a copy without a thread, and refuses.
package final class WorkerPool: @unchecked Sendable {
    // Unchecked: `lock` guards everything that changes; the shared memory is used as the room's README says.
    let arena: Arena
    let block: PoolBlock
    let host: ProcessIdentity
    let configuration: WorkerConfiguration
    package let name: String
    let initializer: PoolInitializer?
    let placements: [[Int]?]
    /// Where its workers work: where the host did when it made the pool.
    let directory = ThisProcess.directory

    let lock = HostLock()
    /// Held while the queue's tail moves, and while slots are taken and given back.
    var freeSlots: [Int]
    var tasks: [TaskCore?]
    var uses: [UInt32]
    /// Tasks without an outcome.
    var outstanding = 0
    var workers: [WorkerRecord]
    var phase = Phase.open
    var events: [Event] = []
    /// Tasks that are to end by a certain time.
    var deadlines: [(deadline: Deadline, task: TaskCore, error: TaskTimeout)] = []
    /// Until when a pool that is being terminated asks its workers to end, before it kills them.
    var killBy = Deadline(instant: 0)
    /// What workers are ended with. Under the lock.
    var endingSignal: Int32 { killBy.hasPassed ? SIGKILL : SIGTERM }
    /// Set once every worker has ended and none will be started.
    package let finished = TaskCore()
    /// How often a thread looks for a result before it sleeps.
    let spinsForResult: Int

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
        self.initializer = initializer
        name = "mp-pool"

        var slots = 1024
        while slots < count * 16, slots < PoolBlock.mostSlots { slots *= 2 }
        // Spinning takes a processor from somebody else unless there is one for each worker and one for the host.
        let isRoomy = count < allowance.workerCount
        var header = PoolBlock.Header()
        header.workers = count
        header.slots = slots
        switch configuration.waiting {
        case .adaptive:
            header.spinNanoseconds = isRoomy ? 50_000 : 0
            spinsForResult = isRoomy ? 2000 : 0
        case .blocking:
            header.spinNanoseconds = 0
            spinsForResult = 0
        case .spinning:
            header.spinNanoseconds = 2_000_000
            spinsForResult = 50_000
        }
        header.tasksPerWorker = configuration.maxTasksPerWorker ?? 0
        header.memoryLimit = UInt64(configuration.memoryLimit?.bytes ?? 0)
        block = try PoolBlock(header: header, in: arena)
        freeSlots = Array((0..<slots).reversed())
        tasks = Array(repeating: nil, count: slots)
        uses = Array(repeating: 0, count: slots)
        workers = (0..<count).map { _ in WorkerRecord() }
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
        if CurrentProcess.identity(in: arena) == host { arena.free(block.offset) }
    }

    /// Throws in a process that this pool is only a copy in.
    func checkHost() throws {
        guard CurrentProcess.identity(in: arena) == host else {
            throw UsageError(
                "This pool belongs to another process, of which the calling one is a fork. Make a pool in this process instead.")
        }
    }

    // MARK: Submitting

    /// Submits a call of `invocation`'s function. Blocks only while as many tasks as there are slots have no outcome.
    /// - Parameters:
    ///   - isSupervised: the outcome is wanted without anybody asking for it.
    ///   - timeout: from now; the task's worker is killed when it passes.
    /// - Returns: the task; one that cannot be submitted has failed already.
    package func submit(
        _ invocation: some HostInvocation & Sendable, isSupervised: Bool = false, timeout: Duration? = nil,
        _ encodeArguments: (ByteWriter) throws -> Void
    ) -> TaskCore {
        let task = TaskCore()
        let deadline = timeout.map { (Deadline(after: $0), $0) }
        do {
            try checkHost()
            let function = try FunctionCatalog.entry(for: invocation, in: arena)
            let slot = try takeSlot()
            let writer = ArenaByteWriter(block.arguments(slot), in: arena)
            do {
                try encodeArguments(writer)
            } catch {
                writer.discard()
                returnSlot(slot)
                throw error
            }
            task.describe = { FunctionCatalog.name(of: invocation) }
            task.retained = writer.retained
            task.pool = self
            var fields = PoolBlock.SlotFields()
            (fields.function, fields.functionBytes) = (function.offset, function.size)
            (fields.argumentsBytes, fields.argumentsBlock) = writer.relinquish()
            block.fields(slot).pointee = fields
            block.claimedAt(slot).pointee.store(0, ordering: .relaxed)
            try publish(task, in: slot, isSupervised: isSupervised, deadline: deadline)
        } catch {
            task.complete(.failure(error))
        }
        return task
    }

    private func publish(_ task: TaskCore, in slot: Int, isSupervised: Bool, deadline: (Deadline, Duration)?) throws {
        while true {
            let published: Bool = try lock.withLock {
                if let refusal = phase.refusal {
                    freeArguments(slot)
                    freeSlots.append(slot)
                    throw refusal
                }
                // Never 0, which means that the task was not submitted.
                let use = max(1, uses[slot] &+ 1)
                task.slot = slot
                task.use = use
                let word = SlotWord(.ready, use: use, flags: isSupervised ? SlotWord.supervised : 0)
                let free = block.load(slot)
                block.word(slot).pointee.store(word.rawValue, ordering: .releasing)
                guard block.enqueue(slot, use: use) else {
                    block.word(slot).pointee.store(free.rawValue, ordering: .releasing)
                    return false
                }
                uses[slot] = use
                tasks[slot] = task
                outstanding += 1
                if let (deadline, timeout) = deadline {
                    deadlines.append((deadline, task, TaskTimeout("The task did not finish within \(timeout), and its worker was ended.")))
                }
                return true
            }
            if published { break }
            // Not only for an end: the last one may have come between the attempt and here.
            waitForSpace { lock.withLock { phase.refusal != nil || block.hasRoom } || drainFinished() }
        }
        block.callWorker()
        if deadline != nil || configuration.taskTimeout != nil { block.callSupervisor() }
    }

    private func takeSlot() throws -> Int {
        while true {
            let slot: Int? = try lock.withLock {
                if let refusal = phase.refusal { throw refusal }
                return freeSlots.popLast()
            }
            if let slot { return slot }
            // Results that nobody has asked for yet must not keep others waiting.
            if !drainFinished() { waitForSpace { lock.withLock { !freeSlots.isEmpty || phase.refusal != nil } || drainFinished() } }
        }
    }

    /// Sleeps until a task has ended, unless `isThere` turns out true after this thread has announced itself.
    private func waitForSpace(unless isThere: () -> Bool) {
        block.publishersWaiting.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        let seen = block.space.pointee.load(ordering: .sequentiallyConsistent)
        if !isThere() { block.space.wait(while: seen) }
        block.publishersWaiting.pointee.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    }

    private func returnSlot(_ slot: Int) {
        lock.withLock { freeSlots.append(slot) }
        block.announceSpace()
    }

    /// Frees what the task in `slot` was called with.
    func freeArguments(_ slot: Int) {
        let block = block.fields(slot).pointee.argumentsBlock
        if block != 0 { arena.free(block) }
    }
}
