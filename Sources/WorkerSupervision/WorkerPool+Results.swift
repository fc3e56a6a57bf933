import Glibc
import SharedState
import Synchronization
import SystemLayer
import WorkTransfer

/// Taking results out of slots: done by whichever thread of the host comes first, and only once. A task is named by its slot and the use of it.
extension WorkerPool {
    /// Where a thread that waits for a task is to sleep.
    enum Sleep {
        /// Something has changed: look again.
        case look
        /// On the task's word in shared memory.
        case sleep(FutexWord)
        /// The host has the task in hand: where its owner says.
        case elsewhere
    }

    /// The word of a task's slot, while the slot is the task's.
    private func word(_ slot: Int, _ use: UInt32) -> SlotWord? {
        guard use != 0 else { return nil }
        let word = block.load(slot)
        return word.use == use ? word : nil
    }

    func isRunning(_ slot: Int, _ use: UInt32) -> Bool { word(slot, use)?.phase == .claimed }

    func drainIfFinished(_ slot: Int, _ use: UInt32) {
        if let word = word(slot, use), word.isFinished { drain(slot, word) }
    }

    func prepareToSleep(on slot: Int, _ use: UInt32) -> Sleep {
        guard let word = word(slot, use) else { return .elsewhere }
        switch word.phase {
        case .value, .error:
            return drain(slot, word) ? .look : .elsewhere
        case .ready, .claimed:
            return .sleep(block.futex(slot))
        case .free, .condemned, .draining:
            return .elsewhere
        }
    }

    /// Says in the task's word that somebody sleeps on it. Returns what the word then is, or nil when it changed.
    func announceSleep(on slot: Int, _ use: UInt32) -> UInt32? {
        guard let word = word(slot, use), word.phase == .ready || word.phase == .claimed else { return nil }
        let announced = word.with(flag: SlotWord.waiter)
        guard word == announced || block.move(slot, from: word, to: announced) else { return nil }
        return announced.futexValue
    }

    /// Has the supervisor complete the task as soon as it ends.
    func supervise(_ slot: Int, _ use: UInt32) {
        while let word = word(slot, use) {
            switch word.phase {
            case .value, .error:
                drain(slot, word)
                return
            case .ready, .claimed:
                if word.isSupervised || block.move(slot, from: word, to: word.with(flag: SlotWord.supervised)) { return }
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
        if settle(slot, word) {
            lock.withLock { freeSlots.append(slot) }
            wakePublishers()
            countEnded(1)
        }
        return true
    }

    /// Takes the result out of a finished slot that this thread has made its own, and completes its task.
    /// - Returns: whether the slot is to be put to the free ones, and the task to be counted: for one thread that does many of these, once for several.
    @inline(__always)
    private func settle(_ slot: Int, _ word: SlotWord) -> Bool {
        guard let task = records[slot].task else {
            release(slot, from: word, with: takeOutcome(slot, word))
            return false
        }
        if let payload = smallResult(slot, word) {
            leave(slot, word)
            if !word.isAbandoned { task._withUnsafeGuaranteedRef { $0.completeAlone(payload) } }
        } else {
            let outcome = takeOutcome(slot, word)
            let hadHandles = block.place(block.resultParts, slot).hasHandles
            leave(slot, word)
            if !word.isAbandoned { task._withUnsafeGuaranteedRef { $0.completeAlone(outcome) } }
            if hadHandles { block.nudge(word.worker) }
        }
        if word.hasWaiter { block.futex(slot).wakeAll() }
        return true
    }

    /// Makes a slot free that had a task by itself, but for the list of free ones.
    @inline(__always)
    private func leave(_ slot: Int, _ word: SlotWord) {
        empty(slot)
        records[slot].task = nil
        block.word(slot).pointee.store(SlotWord(.free, use: word.use).rawValue, ordering: .releasing)
    }

    /// A result that is short and names no shared object, as most are.
    @inline(__always)
    private func smallResult(_ slot: Int, _ word: SlotWord) -> SmallPayload? {
        let place = block.place(block.resultParts, slot)
        guard word.phase == .value, place.isInline, place.inlineBytes <= PoolBlock.smallBytes, !place.hasHandles,
            let start = block.bytes(block.resultParts, slot).baseAddress
        else { return nil }
        return SmallPayload(start, count: place.inlineBytes)
    }

    /// What a worker has left in a slot that this thread has made its own.
    func takeOutcome(_ slot: Int, _ word: SlotWord) -> Outcome {
        if let payload = smallResult(slot, word) { return .small(payload) }
        let parts = block.resultParts
        let place = block.place(parts, slot)
        let bytes = block.bytes(parts, slot)
        guard let start = bytes.baseAddress else { preconditionFailure("a result at no address") }
        let payload = Payload(
            inline: start, bytes: bytes.count, block: place.block,
            handles: place.hasHandles && !place.isBareHandle ? block.resultHandles(slot).pointee : 0, isBareHandle: place.isBareHandle,
            in: arena)
        return word.phase == .value ? .value(payload) : .error(payload)
    }

    /// Frees a slot that this thread has made its own, and says what came of its task, unless that was said when it was condemned.
    func release(_ slot: Int, from word: SlotWord, with outcome: Outcome) {
        let (task, owner, tag) = (records[slot].task, records[slot].owner, records[slot].tag)
        let hadHandles = word.isFinished && block.place(block.resultParts, slot).hasHandles
        lock.withLock {
            clear(slot)
            block.word(slot).pointee.store(SlotWord(.free, use: word.use).rawValue, ordering: .releasing)
            freeSlots.append(slot)
        }
        if word.phase != .condemned { tell(task, owner, tag, word, outcome) }
        if word.hasWaiter { block.futex(slot).wakeAll() }
        if hadHandles { block.nudge(word.worker) }
        wakePublishers()
        countEnded(1)
    }

    private func tell(_ task: Unmanaged<TaskCore>?, _ owner: TaskRun?, _ tag: Int, _ word: SlotWord, _ outcome: Outcome) {
        owner?.taskEnded(tag, outcome)
        if let task, !word.isAbandoned { task._withUnsafeGuaranteedRef { $0.completeAlone(outcome) } }
    }

    /// How many slots are freed at once.
    private static let mostFreedAtOnce = 64
    /// How many slots ahead a line is asked for: nearly all were written last by a worker.
    private static let prefetchDistance = 8

    /// Takes out all finished results. Returns whether there were any.
    @discardableResult
    func drainFinished() -> Bool {
        let used = lock.withLock { usedSlots }
        return withUnsafeTemporaryAllocation(of: Int.self, capacity: Self.mostFreedAtOnce) { freed in
            var found = false
            var count = 0
            for slot in 0..<used {
                block.prefetchSlot(min(slot + Self.prefetchDistance, used - 1))
                let word = block.load(slot)
                guard word.isFinished, block.move(slot, from: word, to: word.moved(to: .draining)) else { continue }
                found = true
                guard settle(slot, word) else { continue }
                freed[count] = slot
                count += 1
                if count == freed.count {
                    putBack(freed[..<count])
                    count = 0
                }
            }
            if count > 0 { putBack(freed[..<count]) }
            return found
        }
    }

    private func putBack(_ slots: Slice<UnsafeMutableBufferPointer<Int>>) {
        lock.withLock { freeSlots.append(contentsOf: slots) }
        wakePublishers()
        countEnded(slots.count)
    }

    /// Says that a task is about to be freed that has no outcome.
    /// - Returns: whether somebody else has it in hand, and is about to tell the task: it must not be freed before that. Else nobody will.
    func abandon(_ slot: Int32, _ use: UInt32) -> Bool {
        let slot = Int(slot)
        while let word = word(slot, use) {
            let abandoned = word.with(flag: SlotWord.supervised | SlotWord.abandoned)
            switch word.phase {
            case .ready, .claimed:
                if block.move(slot, from: word, to: abandoned) { return false }
            case .value, .error:
                guard block.move(slot, from: word, to: abandoned.moved(to: .draining)) else { continue }
                release(slot, from: abandoned, with: takeOutcome(slot, word))
                return false
            case .free, .condemned, .draining:
                return true
            }
        }
        return true
    }

    /// The function of a task in a slot that is the caller's, in words. May cost milliseconds.
    func describeFunction(_ slot: Int) -> String { FunctionCatalog.functionName(of: block.function(slot).entry, in: arena) }

    // MARK: Giving up

    /// Ends a task without waiting for its worker, which is killed if it is on it.
    /// - Returns: false when the task had ended by itself.
    /// - Parameter running: whether that is done to a task that a worker has taken.
    package func giveUp(_ slot: Int, _ use: UInt32, _ error: any Error, running: Bool = true) -> Bool {
        while let word = word(slot, use) {
            switch word.phase {
            case .ready:
                if block.move(slot, from: word, to: word.moved(to: .draining)) {
                    release(slot, from: word, with: .failure(error))
                    return true
                }
            case .claimed:
                guard running else { return false }
                // From here on the worker can no longer finish it, nor begin another. The slot stays condemned until its worker's death has been dealt with, which takes
                // the lock, and only after that is another put in its place: so here, the record is the task's, and so is the worker.
                let condemned: SlotRecord? = lock.withLock {
                    guard block.move(slot, from: word, to: word.moved(to: .condemned)) else { return nil }
                    workers[word.worker].descriptor?.send(signal: endingSignal)
                    return records[slot]
                }
                guard let condemned else { continue }
                tell(condemned.task, condemned.owner, condemned.tag, word, .failure(error))
                if word.hasWaiter { block.futex(slot).wakeAll() }
                return true
            case .value, .error:
                drain(slot, word)
                return false
            case .draining, .condemned, .free:
                return false
            }
        }
        return false
    }

    /// Calls `body` with every task that has no outcome yet. Tasks published meanwhile may be left out.
    func forEachTask(_ body: (_ slot: Int, _ use: UInt32) -> Void) {
        for slot in 0..<lock.withLock({ usedSlots }) {
            let word = block.load(slot)
            if word.phase != .free { body(slot, word.use) }
        }
    }
}
