public import CMultiprocessing
public import Synchronization
import SystemLayer

/// A lock between threads of any processes, whose word says who holds it: so that it can be handed on when its owner has died.
///
/// Bits 0–29 of the word: the owner's token, 0 when free; bit 30: the last owner died holding it. The word behind it is 1 once somebody may sleep on it.
/// While the lock is held nobody but its owner writes the word, so that letting go is a plain store, which is half of what the lock costs. It spins with
/// growing pauses and lets whoever comes first take it (barging), as WTF::Lock and parking_lot do, then sleeps.
@usableFromInline
struct OwnerLock: @unchecked Sendable {
    // Unchecked: the words are only used atomically.
    @usableFromInline let word: UnsafeMutablePointer<Atomic<UInt32>>
    /// The word's place in the arena, a multiple of 8.
    @usableFromInline let offset: UInt64

    /// What the two words take.
    static let size = 8
    static let ownerDied: UInt32 = 1 << 30

    init(word: FutexWord, offset: UInt64) {
        self.word = word
        self.offset = offset
    }

    /// Whether somebody may sleep, which is what sleepers sleep on. Not a bit of the first word: its owner could not store over that.
    @inlinable var announcement: UnsafeMutablePointer<Atomic<UInt32>> { word + 1 }

    // MARK: Taking and releasing

    /// Blocks until the lock is taken.
    /// - Returns: true when its last owner died holding it.
    @discardableResult @inlinable @inline(__always)
    func lock(in arena: @autoclosure () -> Arena) -> Bool {
        let token = ThreadRecords.currentToken(in: arena())
        return enterAndTake(token) ? false : lockContended(token, in: arena())
    }

    /// The first step of taking, which is the only one where the lock is free.
    @inlinable @inline(__always)
    func enterAndTake(_ token: UInt32) -> Bool {
        ThreadRecords.enter(offset)
        return word.pointee.compareExchange(expected: 0, desired: token, ordering: .acquiringAndReleasing).exchanged
    }

    @inline(never) @usableFromInline
    func lockContended(_ token: UInt32, in arena: Arena) -> Bool {
        var waiting = Waiting()
        return lockSlowly(token, until: .never, in: arena, &waiting) == .takenFromDead
    }

    /// What taking has come to, beside its success.
    struct Waiting {
        /// The lock was held by another.
        var isContended = false
        var sleeps = 0
    }

    /// As ``lock(in:)``, until `deadline` at most.
    func lock(until deadline: Deadline, in arena: Arena) -> ProcessSharedMutex.Attempt {
        let token = ThreadRecords.currentToken(in: arena)
        if enterAndTake(token) { return .taken }
        var waiting = Waiting()
        return lockSlowly(token, until: deadline, in: arena, &waiting)
    }

    /// Takes the lock if it is free.
    func tryLock(in arena: Arena) -> ProcessSharedMutex.Attempt {
        let token = ThreadRecords.currentToken(in: arena)
        ThreadRecords.enter(offset)
        return takeIfFree(token) ?? giveUp()
    }

    /// Whether the calling thread holds the lock; not for use within ``lock(in:)``, where it may be about to take it.
    @inlinable @inline(__always)
    var isHeldByCaller: Bool {
        // What a thread has entered and is not taking just now it holds. To read the word, right after an atomic instruction on it, costs a third of a lock.
        if ThreadRecords.isLast(offset) { return true }
        let token = mp_thread_token()
        return token != 0 && word.pointee.load(ordering: .relaxed) == token
    }

    /// - Parameter profile: where a wake-up is counted.
    @inlinable @inline(__always)
    func unlock(profile: @autoclosure () -> LockRecorder? = nil) {
        word.pointee.store(0, ordering: .releasing)
        // The other half of this fence is the heavy one of who announces.
        mp_fence_light()
        if announcement.pointee.load(ordering: .relaxed) != 0 { wakeOne(profile()) }
        ThreadRecords.leave(offset)
    }

    @inline(never) @usableFromInline
    func wakeOne(_ profile: LockRecorder? = nil) {
        announcement.pointee.store(0, ordering: .releasing)
        announcement.wake()
        // When it is awake: it has waited long enough.
        profile?.noteWake()
        mp_probe_lock_wake(word)
    }

    // MARK: Waiting

    /// How long to spin, in ns: about what a sleep and a wake-up cost.
    private static let spinning: UInt64 = 40_000
    // The first pause is that of a short critical section. They grow fast, because every look takes the word's cache line from the owner: a few
    // hundred ns of its time, or a dozen critical sections.
    private static let firstPause: UInt64 = 50
    private static let longestPause: UInt64 = 8_000
    /// How long to sleep at most, in ns. The second where a wake-up may be missed, as the kernel lacks the heavy fence.
    private static let sleeping: UInt64 = 50_000_000
    private static let sleepingUnsure: UInt64 = 1_000_000

    /// After ``enterAndTake(_:)`` was no success.
    func lockSlowly(
        _ token: UInt32, until deadline: Deadline, in arena: Arena, _ waiting: inout Waiting
    ) -> ProcessSharedMutex.Attempt {
        // A lock that was handed on is free, if not in the way that was tried.
        if let attempt = takeIfFree(token) { return attempt }
        waiting.isContended = true
        mp_probe_lock_contended(word)
        // A look at the clock only for who asks what it says.
        let began = mp_probe_wants_acquired() ? monotonicNow() : 0
        let attempt = waitAndTake(token, until: deadline, in: arena, &waiting.sleeps)
        if began != 0, attempt != .notTaken { mp_probe_lock_acquired(word, monotonicNow() - began, UInt64(waiting.sleeps)) }
        return attempt
    }

    private func waitAndTake(
        _ token: UInt32, until deadline: Deadline, in arena: Arena, _ sleeps: inout Int
    ) -> ProcessSharedMutex.Attempt {
        while true {
            let hasSlept = sleeps > 0
            if let attempt = spin(token, hasSlept: hasSlept, until: deadline.instant) { return attempt }
            // Unannounced: an announcement costs the owner a system call.
            if !hasSlept, deadline.hasPassed { return giveUp() }
            let (current, isSure) = announce()
            if current & ThreadRecords.tokenMask == 0 {
                if take(current, token) { return Self.attempt(current) }
                continue
            }
            // After the announcement, which is on behalf of others: a wake-up that this thread was given is not lost when it gives up.
            if deadline.hasPassed { return giveUp() }
            // The supervisor of a dead owner hands the lock on. Should nobody be left to do so, a waiter finds out in time.
            let limit = Deadline(instant: monotonicNow() + (isSure ? Self.sleeping : Self.sleepingUnsure))
            if !announcement.wait(while: 1, until: min(deadline, limit)),
                !ThreadRecords.isLive(current & ThreadRecords.tokenMask, in: arena)
            {
                handOn(from: current & ThreadRecords.tokenMask)
            }
            sleeps += 1
        }
    }

    /// Announces that the caller may sleep.
    /// - Returns: the word after that, whose owner will see the announcement when it lets go; and whether that is sure, which needs the kernel's help.
    func announce() -> (current: UInt32, isSure: Bool) {
        announcement.pointee.store(1, ordering: .releasing)
        let isSure = mp_fence_heavy()
        return (word.pointee.load(ordering: .acquiring), isSure)
    }

    /// Tries to take the lock for a while, but not after `instant` of the monotonic clock.
    // By the clock and not by counted pauses, of which one takes 5 to 50 ns.
    private func spin(_ token: UInt32, hasSlept: Bool, until instant: UInt64) -> ProcessSharedMutex.Attempt? {
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
                // It was woken, and there may be others that sleep: its unlock must look.
                if hasSlept { announcement.pointee.store(1, ordering: .relaxed) }
                if take(current, token) { return Self.attempt(current) }
            }
            if pause < Self.longestPause { pause *= 4 }
        } while now < end
        return nil
    }

    private func giveUp() -> ProcessSharedMutex.Attempt {
        ThreadRecords.leave(offset)
        return .notTaken
    }

    private func takeIfFree(_ token: UInt32) -> ProcessSharedMutex.Attempt? {
        let current = word.pointee.load(ordering: .relaxed)
        return current & ThreadRecords.tokenMask == 0 && take(current, token) ? Self.attempt(current) : nil
    }

    /// What it was to take the lock from the state `previous`.
    private static func attempt(_ previous: UInt32) -> ProcessSharedMutex.Attempt { previous & ownerDied != 0 ? .takenFromDead : .taken }

    private func take(_ current: UInt32, _ desired: UInt32) -> Bool {
        word.pointee.compareExchange(expected: current, desired: desired, ordering: .acquiringAndReleasing).exchanged
    }

    // MARK: After a death

    /// Settles what a thread that has ended while it held the lock, was about to take it, or had just released it, has left undone.
    func settle(_ token: UInt32) {
        handOn(from: token)
        // It may have released the lock and woken nobody yet, or have been woken itself and not taken it: another one has to be woken in its place,
        // announced or not.
        announcement.pointee.store(0, ordering: .releasing)
        announcement.wake()
    }

    /// Frees the lock if `token`, whose thread has ended, holds it, and says so in the word.
    private func handOn(from token: UInt32) {
        // Nobody but the owner changes the word of a lock that is held, and of those who hand it on one comes first.
        if word.pointee.compareExchange(expected: token, desired: Self.ownerDied, ordering: .acquiringAndReleasing).exchanged {
            mp_probe_lock_owner_died(word, Int64(Self.process(of: token) ?? 0))
        }
    }

    /// The process of the thread that `token` stands for, if its record is still its own.
    static func process(of token: UInt32) -> Int32? {
        guard let arena = try? Arena.current() else { return nil }
        return ThreadOwner(of: token & ThreadRecords.tokenMask, in: OwnArena(arena: arena))?.processIdentifier
    }
}
