import CMultiprocessing
import Synchronization
import SystemLayer

/// Taking a lock that another thread holds.
extension OwnerLock {
    /// How long to spin, in ns: about what a sleep and a wake-up cost.
    private static let spinning: UInt64 = 40_000
    // The first pause is that of a short critical section. They grow fast, because every look takes the word's cache line from the owner: a few
    // hundred ns of its time, or a dozen critical sections.
    private static let firstPause: UInt64 = 50
    private static let longestPause: UInt64 = 8_000
    /// After so many sleeps it asks for the lock. They are counted, and not the time, as turns are long or short and contenders few or many: sleepers are woken
    /// in turn, so whoever is faster, each has a turn of its own in three rounds.
    static let patience = 2
    /// How long to sleep at most, in ns. The second where a wake-up may be missed, as the kernel lacks the heavy fence.
    private static let sleeping: UInt64 = 50_000_000
    private static let sleepingUnsure: UInt64 = 1_000_000
    /// How long to leave a free lock to who has asked for it: that one may be stopped, or wait for a processor. About a time slice.
    private static let standingBack: UInt64 = 5_000_000

    /// After ``enterAndTake(_:)`` was no success.
    func lockSlowly(
        _ token: UInt32, until deadline: Deadline, in arena: Arena, _ waiting: inout Waiting
    ) -> ProcessSharedMutex.Attempt {
        // A lock that was handed on is free, if not in the way that was tried.
        if isFor(token), let attempt = takeIfFree(token) { return attempt }
        waiting.isContended = true
        mp_probe_lock_contended(word)
        // A look at the clock only for who asks what it says.
        let began = mp_probe_wants_acquired() ? monotonicNow() : 0
        let attempt = waitAndTake(token, until: deadline, in: arena, &waiting.sleeps)
        if began != 0, attempt != .notTaken { mp_probe_lock_acquired(word, monotonicNow() - began, UInt64(waiting.sleeps)) }
        return attempt
    }

    func waitAndTake(
        _ token: UInt32, until deadline: Deadline, in arena: Arena, _ sleeps: inout Int
    ) -> ProcessSharedMutex.Attempt {
        /// Nobody has called it for so long that it no longer leaves the lock to others.
        var isOverdue = false
        while true {
            if let attempt = spin(token, hasSlept: sleeps > 0, isOverdue, until: deadline.instant) { return attempt }
            let isLast = deadline.hasPassed
            if isLast {
                // Unannounced: an announcement costs the owner a system call.
                if sleeps == 0 { return takeIfFree(token) ?? giveUp() }
                // Before the look that follows: who lets go of the lock after that calls another.
                withdraw(token)
            }
            let (current, announcement, isSure) = announce(asking: !isLast && sleeps >= Self.patience ? token : 0)
            let owner = current & ThreadRecords.tokenMask
            if owner == 0, isLast || isOverdue || isFor(token) {
                if take(current, token) { return taken(current, by: token, isOverdue) }
                continue
            }
            // After the announcement, which is on behalf of others: a wake-up that this thread was given is not lost when it gives up.
            if isLast { return giveUp() }
            let limit = min(deadline, Self.limit(ofSleepFor: owner, isSure: isSure))
            let hasAsked = Self.asker(announcement) == token
            let isCalled = hasAsked ? word.wait(while: current, until: limit) : self.announcement.wait(while: announcement, until: limit)
            if !isCalled {
                if !deadline.hasPassed { isOverdue = true }
                // The supervisor of a dead owner hands the lock on. Should nobody be left to do so, a waiter finds out in time.
                if owner != 0, !ThreadRecords.isLive(owner, in: arena) { handOn(from: owner) }
            }
            sleeps += 1
        }
    }

    /// Until when who waits sleeps at most: for `owner`; or, if that is 0, for who has asked.
    static func limit(ofSleepFor owner: UInt32, isSure: Bool) -> Deadline {
        Deadline(instant: monotonicNow() + (isSure ? owner == 0 ? standingBack : sleeping : sleepingUnsure))
    }

    /// Tries to take the lock for a while, but not after `instant` of the monotonic clock; nor, unless it is overdue, if another has asked for it.
    // By the clock and not by counted pauses, of which one takes 5 to 50 ns.
    private func spin(_ token: UInt32, hasSlept: Bool, _ isOverdue: Bool, until instant: UInt64) -> ProcessSharedMutex.Attempt? {
        var now = monotonicNow()
        let end = min(now + Self.spinning, instant)
        var pause = Self.firstPause
        repeat {
            let next = now + pause
            repeat {
                spinPause()
                now = monotonicNow()
            } while now < next
            let current = word.pointee.load(ordering: .relaxed)
            if current & ThreadRecords.tokenMask == 0 {
                // Who has asked needs a processor.
                if !isOverdue, !isFor(token) { return nil }
                // It was woken, and there may be others that sleep: its unlock must look.
                if hasSlept { announcement.pointee.bitwiseOr(Self.announced, ordering: .relaxed) }
                if take(current, token) { return taken(current, by: token, isOverdue) }
            }
            pause = min(4 * pause, Self.longestPause)
        } while now < end
        return nil
    }

    /// What it was to take the lock from the state `previous`. Takes back what it has asked; or what another has, who has not come.
    private func taken(_ previous: UInt32, by token: UInt32, _ isOverdue: Bool) -> ProcessSharedMutex.Attempt {
        if isOverdue { withdrawAll() } else { withdraw(token) }
        return Self.attempt(previous)
    }
}
