import CMultiprocessing
import Synchronization
import SystemLayer

/// Taking a lock that is not free, or is one of the C library's; and what its profile then learns.
extension SharedLock {
    /// After the default lock could not be taken at once.
    @inline(never) @usableFromInline
    func lockSlowly(_ token: UInt32, _ site: CallSite) throws { _ = try wait(token, until: .never, site) }

    /// The same, until `deadline`.
    func wait(_ token: UInt32, until deadline: Deadline, _ site: CallSite) throws -> Bool {
        guard let adaptive else { return false }
        if adaptive.isOwned(by: token) {
            _ = adaptive.giveUp()
            throw heldByCaller
        }
        var waiting = OwnerLock.Waiting()
        let began = recorder?.now ?? 0
        let attempt = adaptive.lockSlowly(token, until: deadline, in: arena, &waiting)
        guard let recorder else { return try told(attempt) }
        let length = Self.length(from: began, to: recorder.now)
        if attempt == .notTaken {
            if waiting.isContended { recorder.noteGivenUp(after: length) }
            return false
        }
        recorder.noteSlow(
            token, wait: waiting.isContended ? length : nil, sleeps: waiting.sleeps, fromDead: attempt == .takenFromDead, site, sites,
            in: arena)
        return try told(attempt)
    }

    /// After a taking at once of which there is more to write than that.
    @inline(never) @usableFromInline
    func note(_ token: UInt32, _ site: CallSite) { recorder?.note(token, site, sites, in: arena) }

    /// Before the release, of a hold that is being timed.
    @inline(never) @usableFromInline
    func noteHold() { if let adaptive { recorder?.noteHold(of: adaptive.word) } }

    private static func length(from start: UInt64, to end: UInt64) -> UInt64 { end > start ? end - start : 0 }

    @usableFromInline
    var ownerDied: OwnerDied { OwnerDied(lock: name) }

    /// Instead of waiting for itself.
    private var heldByCaller: SharedMemoryError {
        SharedMemoryError(
            """
            \(name) is held by the thread that takes it, which would wait for itself for ever. Take it once; or use a SharedRecursiveLock, which its owner may \
            take again.
            """)
    }

    /// For who is told of a death, and has given nothing that would repair: releases the lock, and throws.
    @usableFromInline
    func refuse(_ death: OwnerDied) throws -> Never {
        try unlock()
        throw death
    }

    /// Has `repair` put in order what a dead owner has left. When it throws, the lock is released, and the next to take it is told, too.
    @usableFromInline
    func repairing(_ repair: () throws -> Void) throws {
        do { try repair() } catch {
            // Else it has released the lock by itself, and taken it on itself.
            if isHeldByCaller { try unlockUnrepaired() }
            throw error
        }
    }

    private func unlockUnrepaired() throws {
        guard let adaptive else { return try unlockPthread(leaving: OwnerLock.ownerDied) }
        if let recorder, recorder.isTiming { recorder.noteHold(of: adaptive.word) }
        adaptive.unlockUnrepaired()
    }

    private func told(_ attempt: ProcessSharedMutex.Attempt) throws -> Bool {
        if attempt == .takenFromDead { throw ownerDied }
        return attempt == .taken
    }

    /// An attempt that does not block.
    /// - Parameter began: since when a task waits, on the profile's clock; nil: nobody does.
    func tryLock(_ site: CallSite, waitingSince began: UInt64?) throws -> Bool {
        var wait: UInt64?
        if let recorder, let began { wait = Self.length(from: began, to: recorder.now) }
        if let adaptive { return try told(adaptive.tryLock(in: arena), site, wait: wait) }
        guard let pthread else { return false }
        return try own(pthread.mutex.tryLock(), pthread.owner, ThreadRecords.currentToken(in: arena), site, wait: wait)
    }

    /// Of a task, which does not wait any more.
    func noteGivenUp(since began: UInt64) { if let recorder { recorder.noteGivenUp(after: Self.length(from: began, to: recorder.now)) } }

    /// An attempt that did not block, of a caller that had waited for as long as `wait` says.
    func told(_ attempt: ProcessSharedMutex.Attempt, _ site: CallSite, wait: UInt64? = nil) throws -> Bool {
        if let recorder, attempt != .notTaken {
            let token = ThreadRecords.currentToken(in: arena)
            recorder.noteSlow(token, wait: wait, sleeps: wait == nil ? 0 : 1, fromDead: attempt == .takenFromDead, site, sites, in: arena)
        }
        return try told(attempt)
    }

    // MARK: The C library's kinds

    @usableFromInline
    func lockPthread(_ site: CallSite) throws {
        guard recorder == nil, let pthread else {
            _ = try lockPthread(until: .never, site)
            return
        }
        let token = ThreadRecords.currentToken(in: arena)
        // It would not say so. Its owner's word is on its line, so to look costs next to nothing.
        if pthread.owner.isHeld(by: token) { throw heldByCaller }
        _ = try own(pthread.mutex.lock(), pthread.owner, token)
    }

    /// Until `deadline`.
    func lockPthread(until deadline: Deadline, _ site: CallSite) throws -> Bool {
        guard let pthread else { return false }
        let token = ThreadRecords.currentToken(in: arena)
        if pthread.owner.isHeld(by: token) { throw heldByCaller }
        guard let recorder else { return try own(pthread.mutex.lock(until: deadline), pthread.owner, token) }
        // Whether it would have to wait, such a mutex does not say.
        let first = try pthread.mutex.tryLock()
        if first != .notTaken { return try own(first, pthread.owner, token, site) }
        mp_probe_lock_contended(pthread.mutex.address)
        let (began, beganNanoseconds) = (recorder.now, mp_probe_wants_acquired() ? monotonicNow() : 0)
        let attempt = try pthread.mutex.lock(until: deadline)
        let wait = Self.length(from: began, to: recorder.now)
        if attempt == .notTaken {
            recorder.noteGivenUp(after: wait)
            return false
        }
        if beganNanoseconds != 0 { mp_probe_lock_acquired(pthread.mutex.address, monotonicNow() - beganNanoseconds, 0) }
        return try own(attempt, pthread.owner, token, site, wait: wait)
    }

    @usableFromInline
    func unlockPthread() throws { try unlockPthread(leaving: 0) }

    /// - Parameter word: what the owner's word says then: that nobody holds it, or that the next is to be told of a death.
    private func unlockPthread(leaving word: UInt32) throws {
        guard let pthread, pthreadIsHeldByCaller else {
            throw SharedMemoryError(
                "\(name) was unlocked by a thread that does not hold it. Unlock it in the thread that locked it, and once.")
        }
        if let recorder, recorder.isTiming { recorder.noteHold(of: pthread.mutex.address) }
        pthread.owner.word.pointee.store(word, ordering: .relaxed)
        try pthread.mutex.unlock()
    }

    @usableFromInline
    var pthreadIsHeldByCaller: Bool {
        let token = mp_thread_token()
        return token != 0 && pthread?.owner.isHeld(by: token) == true
    }

    /// Says who has taken a mutex, and notes it.
    private func own(
        _ attempt: ProcessSharedMutex.Attempt, _ owner: MutexOwner, _ token: UInt32, _ site: CallSite? = nil, wait: UInt64? = nil
    ) throws -> Bool {
        if attempt == .notTaken { return false }
        let dead = owner.word.pointee.load(ordering: .relaxed)
        // Or who saw it free first, and was told, has left word of it.
        let attempt = dead & OwnerLock.ownerDied != 0 ? .takenFromDead : attempt
        if attempt == .takenFromDead, let pthread {
            mp_probe_lock_owner_died(pthread.mutex.address, Int64(OwnerLock.process(of: dead) ?? 0))
        }
        owner.word.pointee.store(token, ordering: .relaxed)
        if let recorder, let site {
            recorder.noteSlow(token, wait: wait, sleeps: 0, fromDead: attempt == .takenFromDead, site, sites, in: arena)
        }
        return try told(attempt)
    }
}

/// Who holds a pthread mutex, which does not say so itself: written by the owner, and read only to see whether that is the calling thread.
struct MutexOwner: @unchecked Sendable {
    // Unchecked: the word is only used atomically.
    let word: FutexWord

    /// Whether it is the thread of `token`, the calling one.
    func isHeld(by token: UInt32) -> Bool { word.pointee.load(ordering: .relaxed) == token }

    /// For who takes the mutex next, by who holds it without wanting it, and was told that its last owner has died.
    func leaveWordOfDeath() { word.pointee.bitwiseOr(OwnerLock.ownerDied, ordering: .relaxed) }
}
