import Glibc
import SharedState
import Synchronization
import SystemLayer

/// Taking results out of slots: done by whichever thread of the host comes first, and only once.
extension WorkerPool {
    /// Where a thread that waits for a task is to sleep.
    enum Sleep {
        /// Something has changed: look again.
        case look
        /// On the task's word in shared memory.
        case sleep(FutexWord)
        /// The host has the task in hand: on the task itself.
        case elsewhere
    }

    /// The word of the task's slot, while the slot is the task's.
    private func word(of task: TaskCore) -> SlotWord? {
        let word = block.load(task.slot)
        return word.use == task.use && task.use != 0 ? word : nil
    }

    func isRunning(_ task: TaskCore) -> Bool { word(of: task)?.phase == .claimed }

    func drainIfFinished(_ task: TaskCore) {
        if let word = word(of: task), word.isFinished { drain(task.slot, word) }
    }

    func prepareToSleep(on task: TaskCore) -> Sleep {
        guard let word = word(of: task) else { return .elsewhere }
        switch word.phase {
        case .value, .error:
            return drain(task.slot, word) ? .look : .elsewhere
        case .ready, .claimed:
            return .sleep(block.futex(task.slot))
        case .free, .condemned, .draining:
            return .elsewhere
        }
    }

    /// Says in the task's word that somebody sleeps on it. Returns what the word then is, or nil when it changed.
    func announceSleep(on task: TaskCore) -> UInt32? {
        guard let word = word(of: task), word.phase == .ready || word.phase == .claimed else { return nil }
        let announced = word.with(flag: SlotWord.waiter)
        guard word == announced || block.move(task.slot, from: word, to: announced) else { return nil }
        return announced.futexValue
    }

    /// Has the supervisor complete the task as soon as it ends.
    func supervise(_ task: TaskCore) {
        while let word = word(of: task) {
            switch word.phase {
            case .value, .error:
                drain(task.slot, word)
                return
            case .ready, .claimed:
                if word.isSupervised || block.move(task.slot, from: word, to: word.with(flag: SlotWord.supervised)) { return }
            case .free, .condemned, .draining:
                return
            }
        }
    }

    /// Takes the result out of a finished slot, frees the slot, and completes the task.
    /// - Returns: false when another thread was faster.
    @discardableResult
    func drain(_ slot: Int, _ word: SlotWord) -> Bool {
        guard block.move(slot, from: word, to: word.moved(to: .draining)) else { return false }
        let fields = block.fields(slot).pointee
        let payload = Payload(
            inline: UnsafeRawPointer(block.result(slot).baseAddress.unsafelyUnwrapped), bytes: fields.resultBytes,
            block: fields.resultBlock,
            handles: fields.resultHandles, in: arena)
        release(slot, from: word, with: word.phase == .value ? .value(payload) : .error(payload))
        return true
    }

    /// Frees a slot that this thread has made its own, and completes its task.
    func release(_ slot: Int, from word: SlotWord, with outcome: Outcome) {
        freeArguments(slot)
        let task = takeTask(slot)
        block.word(slot).pointee.store(SlotWord(.free, use: word.use).rawValue, ordering: .releasing)
        let isLast = lock.withLock {
            freeSlots.append(slot)
            outstanding -= 1
            if case .open = phase { return false }
            return outstanding == 0
        }
        task?.complete(outcome)
        if word.hasWaiter { block.futex(slot).wakeAll() }
        block.announceSpace()
        if isLast { block.callSupervisor() }
    }

    /// The task in `slot`, which is taken out, with what was kept alive for it let go.
    private func takeTask(_ slot: Int) -> TaskCore? {
        let task = lock.withLock {
            defer { tasks[slot] = nil }
            return tasks[slot]
        }
        task?.retained = []
        return task
    }

    /// Takes out all finished results. Returns whether there were any.
    @discardableResult
    func drainFinished() -> Bool {
        var found = false
        for slot in 0..<block.slots {
            let word = block.load(slot)
            if word.isFinished, drain(slot, word) { found = true }
        }
        return found
    }

    /// Kills the worker that `task` was taken from. The slot stays condemned until that worker's death has been dealt with, and only after that is another put
    /// in its place: so while it is, under the lock, the worker there is the right one.
    private func killWorker(_ index: Int, condemnedIn task: TaskCore) {
        lock.withLock {
            if word(of: task)?.phase == .condemned { workers[index].descriptor?.send(signal: endingSignal) }
        }
    }

    /// Ends a task without waiting for its worker, which is killed if it is on it.
    /// - Returns: false when the task had ended by itself.
    /// - Parameter running: whether that is done to a task that a worker has taken.
    package func giveUp(_ task: TaskCore, _ error: any Error, running: Bool = true) -> Bool {
        while let word = word(of: task) {
            switch word.phase {
            case .ready:
                if block.move(task.slot, from: word, to: word.moved(to: .draining)) {
                    release(task.slot, from: word, with: .failure(error))
                    return true
                }
            case .claimed:
                guard running else { return false }
                // From here on the worker can no longer finish it, nor begin another.
                guard block.move(task.slot, from: word, to: word.moved(to: .condemned)) else { continue }
                task.complete(.failure(error))
                if word.hasWaiter { block.futex(task.slot).wakeAll() }
                killWorker(word.worker, condemnedIn: task)
                return true
            case .value, .error:
                drain(task.slot, word)
                return false
            case .draining, .condemned, .free:
                return false
            }
        }
        return false
    }
}
