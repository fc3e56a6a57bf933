import Glibc
import Synchronization
import SystemLayer

/// The pool's own thread: completes the tasks that somebody awaits, keeps deadlines, replaces workers, and sees the pool to its end.
extension WorkerPool {
    /// How long workers that have been told to leave may take.
    private static let leaveTime = Duration.seconds(10)
    /// How long the supervisor looks at nothing else but their ends.
    private static let leaveAtOnceTime = Duration.milliseconds(10)

    func supervise() {
        var leaveBy = Deadline.never
        var callBy = Deadline.never
        while true {
            let seen = block.attention.pointee.load(ordering: .sequentiallyConsistent)
            completeSupervised()
            for case .workerEnded(let index, let identity, let status) in takeEvents() { workerEnded(index, identity, status) }
            callBy = callDeferred(callBy)
            var next = min(callBy, expireDeadlines(), expireTasks())
            restartWorkers()
            if isEnding {
                if leaveBy.isNever {
                    leaveBy = Deadline(after: Self.leaveTime)
                    tellWorkersToLeave()
                    seeWorkersLeave()
                }
                if lock.withLock({ workers.allSatisfy { $0.descriptor == nil } }) { break }
                // One may have been started while the others were killed.
                let (isTerminated, killBy) = lock.withLock { (self.isTerminated, self.killBy) }
                if leaveBy.hasPassed || (isTerminated && killBy.hasPassed) { killWorkers() }
                if isTerminated, !killBy.hasPassed { next = min(next, killBy) }
                next = min(next, leaveBy.hasPassed ? Deadline(after: .milliseconds(100)) : leaveBy)
            }
            next = min(next, lock.withLock { workers.compactMap(\.restart).min() } ?? .never)
            block.supervisorAsleep.pointee.store(1, ordering: .sequentiallyConsistent)
            block.attention.wait(while: seen, until: next)
            block.supervisorAsleep.pointee.store(0, ordering: .sequentiallyConsistent)
        }
        lock.withLock { if case .open = phase { phase = .closing } }
        spareRun.take()?.returnSlots()
        finished.complete(.made(()))
        ExitHooks.remove(ObjectIdentifier(self))
    }

    /// By whoever is first to know that there is nothing left to do.
    private func tellWorkersToLeave() {
        if block.leave.pointee.exchange(1, ordering: .sequentiallyConsistent) == 0 { block.callAllWorkers() }
    }

    /// Settles the ends of workers that leave in order, as soon as the kernel shows them: by way of the fork server and the monitor they come round later, and then
    /// mean nothing any more. All others are left to that.
    private func seeWorkersLeave() {
        let deadline = Deadline(after: Self.leaveAtOnceTime)
        for (index, worker) in lock.withLock({ workers }).enumerated() {
            guard let descriptor = worker.descriptor, let identity = worker.identity else { continue }
            guard descriptor.waitForEnd(until: deadline) else { return }
            // The launch is freed now, though the monitor may look at it yet: whatever it sees there, it must not let another process have it.
            guard block.phase(index).pointee.load(ordering: .acquiring) == 2, descriptor.makeKnown() else { continue }
            workerEnded(index, identity, .exited(0))
        }
    }

    /// Wakes the worker that others have not woken, once they have had the time to see that there is no need. Returns when to look again.
    private func callDeferred(_ callBy: Deadline) -> Deadline {
        guard block.deferredCall.pointee.load(ordering: .sequentiallyConsistent) != 0 else { return .never }
        if callBy.isNever { return Deadline(after: PoolBlock.longestDeferral) }
        guard callBy.hasPassed else { return callBy }
        // Before the look: what is published after it puts off its own.
        block.deferredCall.pointee.store(0, ordering: .sequentiallyConsistent)
        if block.hasWork { block.callWorker() }
        return .never
    }

    private func takeEvents() -> [Event] {
        lock.withLock {
            defer { events = [] }
            return events
        }
    }

    /// Whether there is nothing left to do, and never will be.
    private var isEnding: Bool {
        lock.withLock {
            switch phase {
            case .open: false
            case .closing: !hasOutstanding
            case .terminated: true
            }
        }
    }

    private func completeSupervised() {
        for i in 0..<(block.slots + 63) / 64 {
            var bits = block.finished(i).pointee.load(ordering: .relaxed)
            if bits != 0 { bits = block.finished(i).pointee.exchange(0, ordering: .sequentiallyConsistent) }
            while bits != 0 {
                let slot = i * 64 + bits.trailingZeroBitCount
                bits &= bits - 1
                let word = block.load(slot)
                if word.isFinished { drain(slot, word) }
            }
        }
    }

    /// Gives up tasks whose own time is over. Returns when to look again.
    private func expireDeadlines() -> Deadline {
        let (expired, next): ([(task: TaskCore, error: TaskTimeout)], Deadline) = lock.withLock {
            deadlines.removeAll { $0.task.outcome != nil }
            // One look at the clock: what passes between two would be removed and not given up.
            let now = Deadline.now
            let expired = deadlines.filter { $0.deadline <= now }.map { (task: $0.task, error: $0.error) }
            deadlines.removeAll { $0.deadline <= now }
            return (expired, deadlines.map(\.deadline).min() ?? .never)
        }
        for (task, error) in expired { _ = giveUp(Int(task.slot), task.use, error) }
        return next
    }

    /// Gives up tasks that have been with a worker for too long. Returns when to look again.
    private func expireTasks() -> Deadline {
        guard let timeout = configuration.taskTimeout else { return .never }
        let limit = UInt64(timeout.nanoseconds)
        var isBusy = false
        var next = Deadline(after: timeout)
        for slot in 0..<lock.withLock({ usedSlots }) {
            let word = block.load(slot)
            if word.phase == .ready { isBusy = true }
            guard word.phase == .claimed else { continue }
            isBusy = true
            // A worker that has claimed the task and not noted the time yet has all of it left.
            let claimedAt = block.claimedAt(slot).pointee.load(ordering: .acquiring)
            guard claimedAt != 0 else { continue }
            let end = Deadline(instant: claimedAt.addingReportingOverflow(limit).overflow ? .max : claimedAt + limit)
            if !end.hasPassed {
                next = min(next, end)
            } else {
                _ = giveUp(
                    slot, word.use,
                    TaskTimeout("The task ran for longer than the pool's taskTimeout of \(timeout), and its worker was ended."))
            }
        }
        return isBusy ? next : .never
    }

    // MARK: Ending the pool

    /// Takes no more work; the pool ends when all it has is done. Does not block.
    package func close() {
        guard isHost else { return }
        lock.withLock { if case .open = phase { phase = .closing } }
        isClosing.store(true, ordering: .sequentiallyConsistent)
        // Also what nobody waits for has to be seen to its end now.
        forEachTask(supervise)
        wakePublishers()
        if isEnding { tellWorkersToLeave() }
        block.callSupervisor()
    }

    /// Has the program's normal exit wait for the work that is left.
    package func finishBeforeExit() {
        guard isHost, finished.outcome == nil else { return }
        ExitHooks.add(ObjectIdentifier(self)) { [self] in join() }
        if finished.outcome != nil { ExitHooks.remove(ObjectIdentifier(self)) }
    }

    /// Gives up every task, and kills every worker.
    /// - Parameter grace: how long workers have after SIGTERM; nil: SIGKILL at once.
    package func terminate(grace: Duration? = nil) {
        guard isHost, finished.outcome == nil else { return }
        if let grace { lock.withLock { killBy = Deadline(after: grace) } }
        end(refusing: PoolError.shutDown, tasks: CancellationError())
    }

    /// Ends every task that no worker has taken yet as cancelled.
    package func cancelPending() {
        guard isHost else { return }
        forEachTask { slot, use in _ = giveUp(slot, use, CancellationError(), running: false) }
    }

    func breakPool(_ cause: any Error) {
        let error = PoolError.broken(cause: cause)
        end(refusing: error, tasks: error)
    }

    private func end(refusing refusal: any Error, tasks error: any Error) {
        lock.withLock {
            if case .terminated = phase { return }
            phase = .terminated(refusal)
            for index in workers.indices { workers[index].restart = nil }
        }
        isClosing.store(true, ordering: .sequentiallyConsistent)
        forEachTask { slot, use in _ = giveUp(slot, use, error) }
        killWorkers()
        wakePublishers()
        block.callSupervisor()
    }

    /// Ends every worker, by SIGTERM while a pool that is being terminated is patient, else by SIGKILL.
    private func killWorkers() {
        let (signal, descriptors) = lock.withLock { (endingSignal, workers.compactMap(\.descriptor)) }
        for descriptor in descriptors { descriptor.send(signal: signal) }
    }

    /// Waits until the pool has ended, which it does only after ``close()`` or ``terminate()``.
    package func join() { _ = finished.wait(until: .never) }

    package var isClosed: Bool { lock.withLock { phase.refusal != nil } }

}
