import Synchronization
import SystemLayer

/// The threads of any processes that wait for an object of the arena to change, first come, first served.
///
/// Each waits on a word of its own, so that a notifier wakes exactly whom it means, and each word names its thread: after a death it is known whether that
/// thread was owed nothing, or had been given a notification, which then goes to another. Nobody ever waits for a thread that is dead.
///
/// What is waited for is the user's: `wait` takes an `attempt` at it. Whoever makes an attempt of others succeed does so, and notifies, in
/// ``whileChanging(_:)``. Spurious notifications happen (after a death, or when a thread gives up): an attempt may fail, and the wait goes on.
struct WaitQueue {
    // 0: the summary: bits 0–31: how many entries, from the first on, may be in use; 32–63: the next ticket. 8: how many waits in a row it did not pay to spin in. Then,
    // from 64 on, the entries.
    /// How many threads can wait. One more looks again and again.
    static let capacity = 504
    static let entries = 64
    /// What it takes; all zero when new.
    static let size = entries + capacity * 8

    let offset: Int
    let arena: Arena

    /// - Parameter offset: a multiple of 64.
    init(at offset: Int, in arena: Arena) {
        self.offset = offset
        self.arena = arena
    }

    var summary: UnsafeMutablePointer<Atomic<UInt64>> { arena.word(offset) }
    /// See ``SpinAdvice``.
    var spinAdvice: SpinAdvice { SpinAdvice(word: arena.word(offset + 8), arena: arena) }
    private func place(_ index: Int) -> WaitEntryPlace { WaitEntryPlace(offset + Self.entries + index * 8, in: arena) }

    // MARK: Entering

    /// Puts the calling thread at the end of the queue. Who changes the state after this sees it there; so it has to look at the state once more.
    /// - Returns: nil when the queue is full.
    func enter() -> Waiter? {
        let token = ThreadRecords.currentToken(in: arena)
        ThreadRecords.enter(listing(.waiter))
        // Two that enter at once may get the same ticket. So what.
        let ticket = UInt32(truncatingIfNeeded: summary.pointee.load(ordering: .relaxed) >> 32)
        let entry = WaitEntry(.awake, token: token, ticket: ticket)
        for index in 0..<Self.capacity {
            let place = place(index)
            guard place.load() == .free, place.replace(.free, by: entry) else { continue }
            count(index)
            return Waiter(queue: self, place: place)
        }
        ThreadRecords.leave(listing(.waiter))
        return nil
    }

    /// Has notifiers look as far as `index`. The ticket changes with every call, so that nobody lowers the number who has not seen the new entry.
    private func count(_ index: Int) {
        var current = summary.pointee.load(ordering: .relaxed)
        while true {
            let inUse = max(current & 0xffff_ffff, UInt64(index + 1))
            let (exchanged, original) = summary.pointee.compareExchange(
                expected: current, desired: (current >> 32 &+ 1) << 32 | inUse, ordering: .sequentiallyConsistent)
            if exchanged { break }
            current = original
        }
        atomicMemoryFence(ordering: .sequentiallyConsistent)
    }

    // MARK: Notifying

    /// Calls `change`, which changes what is waited for and notifies. Should the thread die in between, everybody is notified in its place.
    @inline(__always)
    func whileChanging<R, E: Error>(_ change: () throws(E) -> R) throws(E) -> R {
        _ = ThreadRecords.currentToken(in: arena)
        ThreadRecords.enter(listing(.notifier))
        // A `defer` would be a function of its own.
        do throws(E) {
            let result = try change()
            ThreadRecords.leave(listing(.notifier))
            return result
        } catch {
            ThreadRecords.leave(listing(.notifier))
            throw error
        }
    }

    /// Whether somebody may wait; who enters from now on is not seen. To be asked after a change: by one that others see at once, or who waits asks for the heavy
    /// fence, once it has entered.
    var mayHaveWaiters: Bool { summary.pointee.load(ordering: .relaxed) & 0xffff_ffff != 0 }

    /// Wakes the `count` threads that have waited longest, or as many as there are. Only in ``whileChanging(_:)``, and after the change.
    ///
    /// Does not block. Costs a fence and a load when nobody waits.
    func notify(_ count: Int = 1) {
        // The waiter enters, then looks at the state; so one of the two sees the other.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        notifyWaiting(count)
    }

    /// As ``notify(_:)``, where the change was one sequentially consistent operation: so is the look, and no fence is needed. (The fence of who has entered, before its look
    /// at the state, is in the same order: if it has not seen the change, the change comes after it, and after its entry.)
    @inline(__always)
    func notifyAfterOrderedChange(_ count: Int = 1) {
        if summary.pointee.load(ordering: .sequentiallyConsistent) & 0xffff_ffff != 0 { notifyWaiting(count) }
    }

    @inline(never)
    func notifyWaiting(_ count: Int) {
        var left = count
        while left > 0, let (place, entry) = longestWaiting() {
            guard ThreadRecords.isLive(entry.token, in: arena) else {
                // Not settled, because its thread's list was too long, or not yet.
                _ = place.replace(entry, by: .free)
                continue
            }
            if place.end(entry, as: .notified) { left -= 1 }
        }
    }

    /// Wakes all that wait. Only in ``whileChanging(_:)``, and after the change.
    func notifyAll() {
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        for index in 0..<Int(summary.pointee.load(ordering: .acquiring) & 0xffff_ffff) {
            let place = place(index)
            // Who enters from now on sees the change.
            while true {
                let entry = place.load()
                if !entry.isWaiting || place.end(entry, as: .notified) { break }
            }
        }
    }

    private func longestWaiting() -> (WaitEntryPlace, WaitEntry)? {
        let current = summary.pointee.load(ordering: .acquiring)
        let inUse = Int(current & 0xffff_ffff)
        if inUse == 0 { return nil }
        let next = UInt32(truncatingIfNeeded: current >> 32)
        var found: (WaitEntryPlace, WaitEntry)?
        var longest: UInt32 = 0
        var last = 0
        for index in 0..<inUse {
            let place = place(index)
            let entry = place.load()
            if entry == .free { continue }
            last = index + 1
            // Tickets go round: it is their distance that counts.
            let age = next &- entry.ticket
            if entry.isWaiting, found == nil || age > longest { (found, longest) = ((place, entry), age) }
        }
        // So that nobody looks through entries for ever that were needed once. Fails when somebody has entered meanwhile.
        if found == nil, last < inUse {
            _ = summary.pointee.compareExchange(
                expected: current, desired: current & ~0xffff_ffff | UInt64(last), ordering: .acquiringAndReleasing)
        }
        return found
    }

    // MARK: After a death

    /// What stands in a thread's record while it waits, or changes what is waited for.
    func listing(_ kind: ThreadRecords.Listed) -> UInt64 { UInt64(offset) | kind.rawValue }

    /// Strikes the calling thread's entry out of its record.
    func strikeOut() { ThreadRecords.leave(listing(.waiter)) }

    /// Settles the end of a thread that waited here. What it may have been notified of goes to another.
    func settle(waiter token: UInt32) {
        // All of them: it may have died before it was counted.
        for index in 0..<Self.capacity {
            let place = place(index)
            while true {
                let entry = place.load()
                guard entry.token == token else { break }
                // First, so that it can be repeated: twice is a spurious notification.
                if entry.phase == .notified {
                    notify()
                    // It may have been passing that on already.
                    wakeEnded()
                }
                if place.replace(entry, by: .free) { break }
            }
        }
    }

    /// Settles the end of a thread that may have changed the state and notified nobody yet.
    func settleNotifier() {
        notifyAll()
        wakeEnded()
    }

    /// Wakes the threads whose waits are over: who ended one may have died between saying so in the entry and asking the kernel.
    private func wakeEnded() {
        for index in 0..<Self.capacity {
            let place = place(index)
            let entry = place.load()
            if entry != .free, !entry.isWaiting { place.sleepingWord.wake() }
        }
    }
}
