import BinaryCoding
import Glibc
import MachineTopology
import SharedState
import Synchronization
import SystemLayer
import WorkTransfer

/// One of a pool's workers, as the host sees it.
struct WorkerRecord {
    var descriptor: ProcessDescriptor?
    var identity: ProcessIdentity?
    var launch: LaunchBlock?
    /// What the initializer's arguments refer to.
    var retained: [AnyObject] = []
    /// When the next one is to be started in its place; nil: no need.
    var restart: Deadline?
    /// Starts in a row that came to nothing.
    var failedStarts = 0

    /// There is no process after all.
    mutating func forgetProcess() { (descriptor, identity, launch, retained) = (nil, nil, nil, []) }
}

/// Starting workers, and what follows from their ends. Only the supervisor's thread (and init) does this.
extension WorkerPool {
    /// How often in a row a worker may die before it is ready, and how long to wait before each further try.
    private static let mostFailedStarts = 5
    private static func pause(afterFailures n: Int) -> Duration { n == 0 ? .zero : .milliseconds(10 << (2 * (n - 1))) }

    func startWorker(_ index: Int) throws {
        if configuration.startMethod == .fork { return try startCopy(index) }
        let monitor = try ProcessMonitor.shared()
        // When the pool is made, its workers are forked side by side.
        let isFirstOfMany = index == 0 && lock.withLock { workers.allSatisfy { $0.launch == nil && $0.failedStarts == 0 } }
        let process = try monitor.reserve(
            freshImage: configuration.startMethod == .spawn, followedBy: isFirstOfMany ? block.workers - 1 : 0)
        do {
            try prepare(process.launch, for: index, directory: monitor.mustBeTold(directory) ? directory : nil)
            try monitor.start(process, ignoresInterrupt: true, owner: owner(of: process.launch, index))
        } catch {
            lock.withLock { workers[index].forgetProcess() }
            monitor.discard(process)
            throw error
        }
    }

    /// A copy of this process.
    private func startCopy(_ index: Int) throws {
        let identity = try ProcessTable.enter(parent: host, in: arena)
        var launch: LaunchBlock?
        do {
            let made = try LaunchBlock(for: identity, in: arena)
            launch = made
            // It starts where this process is now.
            try prepare(made, for: index, directory: directory)
            try ProcessMonitor.shared().fork(as: identity, in: arena, owner: owner(of: made, index)) {
                ThisProcess.ignoreInterrupt()
                runWorker(made)
            }
        } catch {
            lock.withLock { workers[index].forgetProcess() }
            launch?.free()
            ProcessTable.reclaim(identity, in: arena)
            throw error
        }
    }

    private func prepare(_ launch: LaunchBlock, for index: Int, directory: String?) throws {
        launch.header.pointee.role = LaunchBlock.Role.poolWorker.rawValue
        (launch.header.pointee.pool, launch.header.pointee.index) = (block.offset, index)
        try launch.setSettings(WorkerSettings(configuration, processors: placements[index], directory: directory))
        let retained = try initializer?.prepare(launch) ?? []
        block.phase(index).pointee.store(0, ordering: .releasing)
        lock.withLock {
            workers[index].identity = launch.identity
            workers[index].launch = launch
            workers[index].retained = retained
            workers[index].restart = nil
        }
    }

    private func owner(of launch: LaunchBlock, _ index: Int) -> ServedProcess.Owner {
        let identity = launch.identity
        return .init(
            // The pool lives as long as a worker does. Not weakly: counting the references of what is referred to weakly takes longer.
            runs: { [self] descriptor in
                lock.withLock { if workers[index].identity == identity { workers[index].descriptor = descriptor } }
            },
            ended: { [self] status in post(.workerEnded(index: index, identity: identity, status)) })
    }

    /// Ends what init has started before it failed.
    func undoStart() {
        lock.withLock { phase = .terminated(PoolError.shutDown) }
        let deadline = Deadline(after: .seconds(5))
        var running: [WorkerRecord]
        repeat {
            let seen = block.attention.pointee.load(ordering: .sequentiallyConsistent)
            block.supervisorAsleep.pointee.store(1, ordering: .sequentiallyConsistent)
            let events = lock.withLock { self.events }
            running = lock.withLock { workers }.filter { worker in
                worker.descriptor != nil && !events.contains { if case .workerEnded(_, worker.identity, _) = $0 { true } else { false } }
            }
            // Again and again: one may have been replaced meanwhile.
            for worker in running { worker.descriptor?.send(signal: SIGKILL) }
            if !running.isEmpty { block.attention.wait(while: seen, until: min(deadline, Deadline(after: .milliseconds(100)))) }
        } while !running.isEmpty && !deadline.hasPassed
        for worker in lock.withLock({ workers }) {
            // What could still be used stays.
            guard let identity = worker.identity, !running.contains(where: { $0.identity == identity }) else { continue }
            ProcessTable.reclaim(identity, in: arena)
            worker.launch?.free()
        }
    }

    private func post(_ event: Event) {
        lock.withLock { events.append(event) }
        block.callSupervisor()
    }

    /// Settles what a worker's end means: for the task it was on, for what it held, and for its place in the pool.
    func workerEnded(_ index: Int, _ identity: ProcessIdentity, _ status: TerminationStatus) {
        let worker = lock.withLock { workers[index] }
        guard worker.identity == identity, let launch = worker.launch else { return }
        let began = block.phase(index).pointee.load(ordering: .acquiring) != 0
        settleTasks(ofWorker: index, WorkerEnd(status: status, processIdentifier: worker.descriptor?.processIdentifier ?? 0))
        var reason: (any Error)?
        if !began {
            let (state, payload) = launch.takeOutcome()
            if state == .notStarted, let payload { reason = payload.withReader { ErrorTransfer.decode(from: &$0) } }
        }
        // Everything that was to be kept has been taken over by now.
        ProcessTable.reclaim(identity, in: arena)
        launch.free()
        let failures = began ? 0 : worker.failedStarts + 1
        lock.withLock {
            workers[index] = WorkerRecord()
            workers[index].failedStarts = failures
        }
        // It may have been called for a task that it then did not take, or have been about to call another.
        block.recall(after: index)
        if let reason { return breakPool(reason) }
        if failures >= Self.mostFailedStarts {
            let cause = WorkerTerminated(
                status: status, processIdentifier: worker.descriptor?.processIdentifier ?? 0,
                task: "its start (the \(failures)th in a row to fail\(initializer == nil ? "" : "; look at the initializer"))")
            return breakPool(cause)
        }
        lock.withLock {
            if !isLeaving { workers[index].restart = Deadline(after: Self.pause(afterFailures: failures)) }
        }
    }

    /// Whether workers that end are not replaced. Under the lock.
    private var isLeaving: Bool { isTerminated || block.leave.pointee.load(ordering: .relaxed) != 0 }

    func restartWorkers() {
        for index in 0..<block.workers {
            let isDue = lock.withLock { workers[index].restart.map { $0.hasPassed } ?? false }
            guard isDue else { continue }
            do {
                try startWorker(index)
            } catch {
                let failures = lock.withLock {
                    workers[index].failedStarts += 1
                    workers[index].restart = Deadline(after: Self.pause(afterFailures: workers[index].failedStarts))
                    return workers[index].failedStarts
                }
                if failures >= Self.mostFailedStarts { return breakPool(error) }
            }
        }
    }

    private struct WorkerEnd {
        let status: TerminationStatus
        let processIdentifier: Int32
    }

    private func settleTasks(ofWorker index: Int, _ end: WorkerEnd) {
        for slot in 0..<lock.withLock({ usedSlots }) {
            // Until the slot is no longer that worker's.
            while true {
                let word = block.load(slot)
                guard word.worker == index, word.phase != .free, word.phase != .ready else { break }
                switch word.phase {
                case .claimed:
                    if !retry(slot, word), block.move(slot, from: word, to: word.moved(to: .draining)) { settleLost(slot, word, end) }
                case .condemned:
                    if block.move(slot, from: word, to: word.moved(to: .draining)) {
                        release(slot, from: word, with: .failure(CancellationError()))
                    }
                case .value, .error:
                    drain(slot, word)
                case .draining:
                    // Another thread is taking the result out of the dead worker's memory this moment.
                    sched_yield()
                case .free, .ready:
                    break
                }
            }
        }
    }

    /// Publishes a lost task again, if it may have another attempt, in one move: a draining slot would tell those who want the outcome that it is at hand.
    /// - Returns: false when that is not to be, or when the word has changed.
    private func retry(_ slot: Int, _ word: SlotWord) -> Bool {
        guard case .retry(let attempts) = configuration.onWorkerDeath else { return false }
        let again = lock.withLock {
            guard records[slot].attempts < attempts, !isTerminated, block.room(atLeast: 1, &knownHead) > 0 else { return false }
            block.claimedAt(slot).pointee.store(0, ordering: .relaxed)
            records[slot].attempts += 1
            guard block.move(slot, from: word, to: word.retried) else { return false }
            // From here on it can be claimed, and be finished and published again: by the entries that it had, which may still be looked at.
            block.enqueue(slot, use: word.use, ahead: 0)
            block.publish(1)
            return true
        }
        if again { block.callWorker() }
        return again
    }

    private func settleLost(_ slot: Int, _ word: SlotWord, _ end: WorkerEnd) {
        // It may have died before it had them.
        for case let object as any ReliedOnObject in records[slot].retained { object.receiverDied(end.processIdentifier) }
        var text = describeFunction(slot)
        if let limit = configuration.memoryLimit {
            text += ", under a memory limit of \(limit.bytes) bytes, which it may have exceeded"
        }
        release(
            slot, from: word,
            with: .failure(WorkerTerminated(status: end.status, processIdentifier: end.processIdentifier, task: text)))
    }

    /// Under the lock.
    var isTerminated: Bool {
        if case .terminated = phase { return true }
        return false
    }
}
