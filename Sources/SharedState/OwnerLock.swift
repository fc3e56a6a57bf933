import CMultiprocessing
import Synchronization
import SystemLayer

/// A lock between threads of any processes, whose word says who holds it: so that it can be handed on when its owner has died.
///
/// Bits 0–29 the owner's token, 0 when free; bit 30: the last owner died holding it; bit 31: somebody may sleep on the word. It spins with growing pauses and lets
/// whoever comes first take it (barging), as WTF::Lock and parking_lot do, then sleeps.
struct OwnerLock: @unchecked Sendable {
    // Unchecked: the word is only used atomically.
    let word: FutexWord
    /// The word's place in the arena.
    let offset: UInt64

    static let ownerDied: UInt32 = 1 << 30
    static let waiters: UInt32 = 1 << 31

    /// Blocks until the lock is taken.
    /// - Returns: true when its last owner died holding it.
    @discardableResult @inline(__always)
    func lock(in arena: Arena) -> Bool {
        let token = ThreadRecords.currentToken(in: arena)
        ThreadRecords.enter(offset)
        if word.pointee.compareExchange(expected: 0, desired: token, ordering: .acquiringAndReleasing).exchanged { return false }
        return lockSlowly(token, until: .never, in: arena) == .takenFromDead
    }

    /// As ``lock(in:)``, until `deadline` at most.
    // Not what ``lock(in:)`` calls: a deadline, even the one that is never, costs that path half as much again as the lock.
    func lock(until deadline: Deadline, in arena: Arena) -> ProcessSharedMutex.Attempt {
        let token = ThreadRecords.currentToken(in: arena)
        ThreadRecords.enter(offset)
        if word.pointee.compareExchange(expected: 0, desired: token, ordering: .acquiringAndReleasing).exchanged { return .taken }
        return lockSlowly(token, until: deadline, in: arena)
    }

    /// Takes the lock if it is free.
    func tryLock(in arena: Arena) -> ProcessSharedMutex.Attempt {
        let token = ThreadRecords.currentToken(in: arena)
        ThreadRecords.enter(offset)
        let current = word.pointee.load(ordering: .relaxed)
        if current & ThreadRecords.tokenMask == 0, take(current, token | current & Self.waiters) { return Self.attempt(current) }
        ThreadRecords.leave(offset)
        return .notTaken
    }

    func isHeld(in arena: Arena) -> Bool {
        word.pointee.load(ordering: .relaxed) & ThreadRecords.tokenMask == ThreadRecords.currentToken(in: arena)
    }

    /// What it was to take the lock from the state `previous`.
    private static func attempt(_ previous: UInt32) -> ProcessSharedMutex.Attempt { previous & ownerDied != 0 ? .takenFromDead : .taken }

    @inline(__always)
    func unlock() {
        if word.pointee.exchange(0, ordering: .acquiringAndReleasing) & Self.waiters != 0 { word.wake() }
        ThreadRecords.leave(offset)
    }

    @inline(never)
    private func lockSlowly(_ token: UInt32, until deadline: Deadline, in arena: Arena) -> ProcessSharedMutex.Attempt {
        var pauses = 1
        for _ in 0..<40 {
            for _ in 0..<pauses { mp_pause() }
            if pauses < 64 { pauses *= 2 }
            let current = word.pointee.load(ordering: .relaxed)
            // Bit 31 stays with the word: this thread does not know whether others sleep.
            if current & ThreadRecords.tokenMask == 0, take(current, token | current & Self.waiters) {
                return Self.attempt(current)
            }
        }
        while true {
            let current = word.pointee.load(ordering: .relaxed)
            if current & ThreadRecords.tokenMask == 0 {
                // Having slept, it cannot know whether it was the last to, so its unlock must look.
                if take(current, token | Self.waiters) { return Self.attempt(current) }
                continue
            }
            let announced = current | Self.waiters
            if announced != current, !word.pointee.compareExchange(expected: current, desired: announced, ordering: .relaxed).exchanged {
                continue
            }
            // The bit is set, also on behalf of others: a wake that this thread may have been given is not lost when it gives up.
            if deadline.hasPassed {
                ThreadRecords.leave(offset)
                return .notTaken
            }
            // The supervisor of a dead owner hands the lock on. Should nobody be left to do so, a waiter finds out in time.
            if !word.wait(while: announced, until: min(deadline, Deadline(after: .milliseconds(50)))),
                !ThreadRecords.isLive(current & ThreadRecords.tokenMask, in: arena)
            {
                handOn(from: current & ThreadRecords.tokenMask)
            }
        }
    }

    @inline(__always)
    private func take(_ current: UInt32, _ desired: UInt32) -> Bool {
        word.pointee.compareExchange(expected: current, desired: desired, ordering: .acquiringAndReleasing).exchanged
    }

    /// Settles what a thread that has ended while it held the lock, was about to take it, or had just released it, has left undone.
    func settle(_ token: UInt32) {
        // It may have released the lock and woken nobody yet, or have been woken itself and not taken it: another one has to be woken in its place.
        if !handOn(from: token) { word.wake() }
    }

    /// Frees the lock if `token`, whose thread has ended, holds it, and says so in the word. Returns whether it did.
    @discardableResult
    func handOn(from token: UInt32) -> Bool {
        var current = word.pointee.load(ordering: .relaxed)
        while current & ThreadRecords.tokenMask == token {
            let (exchanged, original) = word.pointee.compareExchange(
                expected: current, desired: Self.ownerDied | current & Self.waiters, ordering: .acquiringAndReleasing)
            if exchanged {
                if current & Self.waiters != 0 { word.wake() }
                return true
            }
            current = original
        }
        return false
    }
}
