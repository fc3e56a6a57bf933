package import SystemLayer
import Synchronization

/// Waiting for calls of a run.
extension TaskRun {
    /// Waits until it is worth while to collect and to submit more: some calls have ended, and workers are about to run out of others.
    @usableFromInline
    package func waitForRoom() {
        returnSlots(keeping: Self.mostAtOnce)
        var spinning = Spinning(in: pool)
        while pool.block.queueLength > pool.block.callBelow, spinning.pause() {}
        pool.waitForProgress { pool.block.queueLength <= pool.block.callBelow && hasFinished }
    }

    /// Whether there is a call to be collected.
    private var hasFinished: Bool {
        if stragglers.contains(where: { phase($0.entry) == .value }) { return true }
        var waiting = 0
        var number = oldest
        while number < unpublished, waiting < Self.mostAtOnce {
            let entry = entries[number & mask]
            number += 1
            guard entry.use != 0 else { continue }
            switch phase(entry) {
            case .value: return true
            case .ready: waiting += 1
            default: break
            }
        }
        return false
    }

    /// The phase of a call: ready, claimed, or value for whatever ends it.
    private func phase(_ entry: Entry) -> SlotWord.Phase {
        let word = pool.block.load(Int(entry.slot))
        if word.use != entry.use { return .value }
        return word.phase == .ready || word.phase == .claimed ? word.phase : .value
    }

    /// Waits until the call that was submitted last may have ended.
    @usableFromInline
    package func waitForLast() {
        returnSlots()
        // It may end before others that are in front of it, and is to be found then.
        scanLimit = .max
        var number = newest - 1
        while number >= oldest, entries[number & mask].use == 0 { number -= 1 }
        if number < oldest { number = stragglers.last?.number ?? number }
        if let waiter = waiter(for: number) { _ = wait(for: waiter, until: .never) }
    }

    /// What any thread needs to wait for a certain call, beside others that use the run.
    package struct Waiter: Sendable {
        let run: TaskRun
        let number: Int
        let slot: Int
        let use: UInt32
        /// What `changes` was when the call had not ended.
        let seen: UInt32

        /// Waits until the call may have ended.
        /// - Returns: false when `deadline` passes first.
        package func wait(until deadline: Deadline) -> Bool { run.wait(for: self, until: deadline) }

        /// Has `listener` called once when the call has ended, perhaps at once, on whichever thread notices.
        package func whenEnded(_ listener: @escaping @Sendable () -> Void) { run.whenEnded(self, listener) }
    }

    /// How to wait for a call; nil when it has been given out.
    package func waiter(for number: Int) -> Waiter? {
        let seen = changes.pointee.load(ordering: .sequentiallyConsistent)
        return entry(number).map { Waiter(run: self, number: number, slot: Int($0.slot), use: $0.use, seen: seen) }
    }

    private func wait(for waiter: Waiter, until deadline: Deadline) -> Bool {
        var spinning = Spinning(in: pool)
        while true {
            let word = pool.block.load(waiter.slot)
            if word.use == waiter.use, word.phase == .ready || word.phase == .claimed {
                if spinning.pause() { continue }
                guard let announced = pool.announceSleep(on: waiter.slot, waiter.use) else { continue }
                if pool.block.futex(waiter.slot).wait(while: announced, until: deadline) { continue }
                return false
            }
            if word.use == waiter.use, word.isFinished { return true }
            // Somebody else has it in hand, and will say so.
            if lock.withLock({ strays[waiter.number] != nil }) { return true }
            return changes.wait(while: waiter.seen, until: deadline)
        }
    }

    private func whenEnded(_ waiter: Waiter, _ listener: @escaping @Sendable () -> Void) {
        let isEnded = lock.withLock {
            if strays[waiter.number] != nil { return true }
            listeners[waiter.number] = listener
            return false
        }
        if isEnded { return listener() }
        pool.supervise(waiter.slot, waiter.use)
        // It may have been given out to another before the listener was there: then its slot is free, or another call's. Who hears of it too early looks again.
        let word = pool.block.load(waiter.slot)
        if word.use != waiter.use || (word.phase != .ready && word.phase != .claimed) { callListener(waiter.number) }
    }
}
