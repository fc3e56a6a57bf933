public import CMultiprocessing
public import Synchronization
import SystemLayer

/// A lock between threads of any processes, whose word says who holds it: so that it can be handed on when its owner has died.
///
/// Bits 0–29 of the word: the owner's token, 0 when free; bit 30: the last owner died holding it; bit 31: it is free, and left to who has asked for it.
/// The word behind it is the announcement: bit 0, somebody may sleep on it; bits 1–30, the token of who has asked for the lock, having waited long.
/// While the lock is held nobody but its owner writes the word, so that letting go is a plain store, which is half of what the lock costs. It spins with
/// growing pauses and lets whoever comes first take it (barging), as WTF::Lock and parking_lot do, then sleeps; who is woken in vain too often asks for
/// it, and others then stand back.
@usableFromInline
struct OwnerLock: @unchecked Sendable {
    // Unchecked: the words are only used atomically.
    @usableFromInline let word: UnsafeMutablePointer<Atomic<UInt32>>
    /// The word's place in the arena, a multiple of 8.
    @usableFromInline let offset: UInt64

    /// What the two words take.
    static let size = 8
    static let ownerDied: UInt32 = 1 << 30
    /// Keeps a free lock from being taken in the first way that is tried. Nothing depends on it: who looks at the announcement may take it as any free lock.
    static let left: UInt32 = 1 << 31

    init(word: FutexWord, offset: UInt64) {
        self.word = word
        self.offset = offset
    }

    /// Whether somebody may sleep, which is what sleepers sleep on, and who has asked. Not in the first word: its owner could not store over that.
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
        if isOwned(by: token) { Self.endReentry() }
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
        if isOwned(by: token) { Self.endReentry() }
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
        callNext()
        // When it is awake: it has waited long enough.
        profile?.noteWake()
        mp_probe_lock_wake(word)
    }

    /// Lets go of a lock that was taken from a dead owner by somebody who has not looked at what that one was about: whoever takes it next is told, too.
    @inline(never) @usableFromInline
    func unlockUnrepaired() {
        word.pointee.store(Self.ownerDied, ordering: .releasing)
        callSomebody()
        ThreadRecords.leave(offset)
    }

    // MARK: In one attempt

    func giveUp() -> ProcessSharedMutex.Attempt {
        ThreadRecords.leave(offset)
        return .notTaken
    }

    /// Whoever may have asked for it.
    func takeIfFree(_ token: UInt32) -> ProcessSharedMutex.Attempt? {
        let current = word.pointee.load(ordering: .relaxed)
        return current & ThreadRecords.tokenMask == 0 && take(current, token) ? Self.attempt(current) : nil
    }

    /// What it was to take the lock from the state `previous`.
    static func attempt(_ previous: UInt32) -> ProcessSharedMutex.Attempt { previous & ownerDied != 0 ? .takenFromDead : .taken }

    func take(_ current: UInt32, _ desired: UInt32) -> Bool {
        word.pointee.compareExchange(expected: current, desired: desired, ordering: .acquiringAndReleasing).exchanged
    }

    // MARK: After a death

    /// Settles what a thread that has ended while it held the lock, was about to take it, or had just released it, has left undone.
    func settle(_ token: UInt32) {
        handOn(from: token)
        // It may have released the lock and woken nobody yet, or have been woken itself and not taken it: another one has to be woken in its place,
        // announced or not.
        callSomebody()
    }

    private func callSomebody() {
        announcement.pointee.bitwiseAnd(~Self.announced, ordering: .releasing)
        announcement.wake()
        // It may have seen that somebody had asked.
        callAsker()
    }

    /// Frees the lock if `token`, whose thread has ended, holds it, and says so in the word; no longer is it asked for by that thread.
    func handOn(from token: UInt32) {
        // Nobody but the owner changes the word of a lock that is held, and of those who hand it on one comes first.
        if word.pointee.compareExchange(expected: token, desired: Self.ownerDied, ordering: .acquiringAndReleasing).exchanged {
            mp_probe_lock_owner_died(word, Int64(Self.process(of: token) ?? 0))
        }
        withdraw(token)
    }

    /// The process of the thread that `token` stands for, if its record is still its own.
    static func process(of token: UInt32) -> Int32? {
        guard let arena = try? Arena.current() else { return nil }
        return ThreadOwner(of: token & ThreadRecords.tokenMask, in: OwnArena(arena: arena))?.processIdentifier
    }
}
