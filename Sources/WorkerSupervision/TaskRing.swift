import SharedState
import Synchronization
import SystemLayer

/// The moves on a pool's tasks that host and workers make. The room's README names the states, who may make each move, and why none can be lost.
extension PoolBlock {
    // Sequentially consistent, for the sake of publishers that wait for space: they announce themselves and then look at the words, while workers move a word
    // and then look for the announcement, and one of the two must see the other.
    func load(_ slot: Int) -> SlotWord { SlotWord(rawValue: word(slot).pointee.load(ordering: .sequentiallyConsistent)) }

    @inline(__always)
    func move(_ slot: Int, from old: SlotWord, to new: SlotWord) -> Bool {
        word(slot).pointee.compareExchange(expected: old.rawValue, desired: new.rawValue, ordering: .sequentiallyConsistent).exchanged
    }

    // MARK: The queue

    /// Appends a published slot. One thread of the host at a time.
    /// - Returns: false when the queue is full, of slots that were cancelled and not yet passed by.
    func enqueue(_ slot: Int, use: UInt32) -> Bool {
        guard hasRoom else { return false }
        let position = tail.pointee.load(ordering: .relaxed)
        queued(position).pointee.store(UInt64(slot) | UInt64(use) << 32, ordering: .relaxed)
        tail.pointee.store(position &+ 1, ordering: .sequentiallyConsistent)
        return true
    }

    /// Whether the queue has a place left. One thread of the host at a time.
    var hasRoom: Bool {
        let position = tail.pointee.load(ordering: .relaxed)
        if position &- head.pointee.load(ordering: .acquiring) < UInt64(2 * slots) { return true }
        skipTaken()
        return position &- head.pointee.load(ordering: .acquiring) < UInt64(2 * slots)
    }

    var isQueueEmpty: Bool { head.pointee.load(ordering: .sequentiallyConsistent) >= tail.pointee.load(ordering: .sequentiallyConsistent) }

    /// Takes the oldest published task for `worker`.
    ///
    /// The claim is the change of the slot's word; the queue only says where to look. Its head is moved on by whoever sees that the slot there is taken,
    /// so a worker that dies between the two loses nothing.
    func claim(for worker: Int) -> (slot: Int, word: SlotWord)? {
        while true {
            let position = head.pointee.load(ordering: .acquiring)
            if position >= tail.pointee.load(ordering: .acquiring) { return nil }
            let entry = queued(position).pointee.load(ordering: .acquiring)
            let slot = Int(entry & 0xffff_ffff)
            let current = load(slot)
            var claimed: SlotWord?
            if current.phase == .ready, current.use == UInt32(entry >> 32) {
                let new = current.claimed(by: worker)
                // Lost to another, or a waiter has set its flag meanwhile: look again.
                if !move(slot, from: current, to: new) { continue }
                claimed = new
            }
            _ = head.pointee.compareExchange(expected: position, desired: position &+ 1, ordering: .acquiringAndReleasing)
            if let claimed { return (slot, claimed) }
        }
    }

    /// Moves the head past tasks that are no longer there to be claimed.
    private func skipTaken() {
        while true {
            let position = head.pointee.load(ordering: .acquiring)
            if position >= tail.pointee.load(ordering: .acquiring) { return }
            let entry = queued(position).pointee.load(ordering: .acquiring)
            let current = load(Int(entry & 0xffff_ffff))
            if current.phase == .ready, current.use == UInt32(entry >> 32) { return }
            _ = head.pointee.compareExchange(expected: position, desired: position &+ 1, ordering: .acquiringAndReleasing)
        }
    }

    // MARK: Calling workers

    /// Wakes one sleeping worker, if any has announced itself.
    func callWorker() {
        for i in 0..<(workers + 63) / 64 {
            var bits = sleepers(i).pointee.load(ordering: .sequentiallyConsistent)
            while bits != 0 {
                let bit = bits.trailingZeroBitCount
                bits = sleepers(i).pointee.bitwiseAnd(~(1 << UInt64(bit)), ordering: .sequentiallyConsistent).oldValue
                if bits & 1 << UInt64(bit) != 0 {
                    let word = called(i * 64 + bit)
                    word.pointee.store(1, ordering: .sequentiallyConsistent)
                    word.wake()
                    return
                }
            }
        }
    }

    /// After the death of `dead`: calls the workers that it may have been about to wake. Having taken their bits, it was the only one to know that they sleep.
    /// Of all others whose bit is not set this only makes sure that they look once more before they sleep.
    func recallWorkers(after dead: Int) {
        // What it was itself called for is for others now.
        sleepers(dead / 64).pointee.bitwiseAnd(~(1 << UInt64(dead % 64)), ordering: .sequentiallyConsistent)
        for worker in 0..<workers {
            let bits = sleepers(worker / 64).pointee.load(ordering: .sequentiallyConsistent)
            if bits & 1 << UInt64(worker % 64) != 0 { continue }
            called(worker).pointee.store(1, ordering: .sequentiallyConsistent)
            called(worker).wake()
        }
        if !isQueueEmpty { callWorker() }
    }

    func callAllWorkers() {
        for worker in 0..<workers {
            called(worker).pointee.store(1, ordering: .sequentiallyConsistent)
            called(worker).wake()
        }
    }

    /// Sleeps until the worker is called, unless `isNeeded` turns out true after it has announced itself.
    func sleep(_ worker: Int, unless isNeeded: () -> Bool) {
        let bit = UInt64(1) << UInt64(worker % 64)
        called(worker).pointee.store(0, ordering: .sequentiallyConsistent)
        sleepers(worker / 64).pointee.bitwiseOr(bit, ordering: .sequentiallyConsistent)
        if !isNeeded() { called(worker).wait(while: 0) }
        sleepers(worker / 64).pointee.bitwiseAnd(~bit, ordering: .sequentiallyConsistent)
    }

    // MARK: Hearing of ends

    /// Makes the supervisor look around.
    func callSupervisor() {
        attention.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if supervisorAsleep.pointee.load(ordering: .sequentiallyConsistent) != 0 { attention.wake() }
    }

    /// Tells whoever has asked that a worker has ended the task in `slot`; `old` is its word before.
    func announceEnd(of slot: Int, old: SlotWord) {
        if old.hasWaiter { futex(slot).wakeAll() }
        if old.isSupervised {
            finished(slot / 64).pointee.bitwiseOr(1 << UInt64(slot % 64), ordering: .sequentiallyConsistent)
            callSupervisor()
        }
        announceSpace()
    }

    /// Tells publishers that wait for a free slot that there may be one.
    func announceSpace() {
        if publishersWaiting.pointee.load(ordering: .sequentiallyConsistent) != 0 {
            space.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
            space.wakeAll()
        }
    }
}
