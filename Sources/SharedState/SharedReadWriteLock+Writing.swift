import CMultiprocessing
import Synchronization
import SystemLayer

/// How a writer comes and goes.
extension SharedReadWriteLock {
    /// Blocks until the calling thread may write.
    /// - Returns: whether the last writer has died.
    @usableFromInline
    func beginWriting() throws -> Bool {
        let token = ThreadRecords.currentToken(in: block.arena)
        if writers.isHeldByCaller { throw recursive }
        guard writers.enterAndTake(token) else { return try beginWritingSlowly(token) }
        return try places.areFree || waitForReaders(token, until: .never) ? state.writerDied : beginWritingAgain()
    }

    /// After ``OwnerLock/enterAndTake(_:)`` was no success.
    @inline(never)
    private func beginWritingSlowly(_ token: UInt32) throws -> Bool {
        var waiting = OwnerLock.Waiting()
        if writers.lockSlowly(token, until: .never, in: block.arena, &waiting) == .takenFromDead { noteDeath() }
        return try waitForReaders(token, until: .never) ? state.writerDied : beginWritingAgain()
    }

    /// After a wait without a deadline that came to one: never mind, another.
    private func beginWritingAgain() throws -> Bool {
        while true { if let isAfterDeath = try beginWriting(until: .never) { return isAfterDeath } }
    }

    /// - Returns: whether the last writer has died; nil at the deadline.
    func beginWriting(until deadline: Deadline, _ cancellation: WaitCancellation? = nil) throws -> Bool? {
        let token = ThreadRecords.currentToken(in: block.arena)
        if writers.isHeldByCaller { throw recursive }
        switch try takeWriters(until: deadline, cancellation) {
        case .notTaken: return nil
        case .takenFromDead: noteDeath()
        case .taken: break
        }
        return try waitForReaders(token, until: deadline, cancellation) ? state.writerDied : nil
    }

    private func takeWriters(until deadline: Deadline, _ cancellation: WaitCancellation?) throws -> ProcessSharedMutex.Attempt {
        guard let cancellation else { return writers.lock(until: deadline, in: block.arena) }
        while true {
            // Now and then, to see whether it is cancelled.
            let attempt = writers.lock(until: min(deadline, Deadline(after: .milliseconds(20))), in: block.arena)
            if attempt != .notTaken { return attempt }
            if cancellation.isCancelled { throw CancellationError() }
            if deadline.hasPassed { return .notTaken }
        }
    }

    /// Waits, with the writers' lock, for the readers that come first; or lets go of it.
    /// - Returns: false at the deadline.
    @inline(never)
    private func waitForReaders(_ token: UInt32, until deadline: Deadline, _ cancellation: WaitCancellation? = nil) throws -> Bool {
        let phase = state.phase
        do {
            if places.contain(token) { throw recursive }
            let look = { self.places.precede(writerOf: phase) ? nil : () }
            if spin(until: deadline, look) != nil { return true }
            var isQueued = false
            let isAlone: Void? = try Self.untilSeen(deadline) { limit in
                try waitingWriter.wait(until: limit, cancellation: cancellation) {
                    defer { isQueued = true }
                    if let isAlone = look() { return isAlone }
                    if !isQueued { return nil }
                    // A reader that is leaving by a plain store sees who is in the queue, or is seen to have left.
                    _ = mp_fence_heavy()
                    return look()
                }
            }
            if isAlone != nil { return true }
        } catch {
            // It has not had its turn: the phase stays.
            letGo()
            throw error
        }
        letGo()
        return false
    }

    @usableFromInline
    func endWriting(writerDied: Bool) {
        // The readers that wait for this phase to end may read from here on.
        stateWord.pointee.store(state.next(writerDied: writerDied).rawValue, ordering: .releasing)
        letGo()
    }

    private func letGo() {
        writers.unlock()
        // By a plain store; who waits asks for the heavy fence, once it is in the queue: after that it sees the lock free, or is seen here.
        if waitingReaders.mayHaveWaiters { wakeReaders() }
    }

    @inline(never)
    private func wakeReaders() {
        waitingReaders.whileChanging {
            waitingReaders.notifyAll()
            // When nobody waits any more, this has the next writer not look.
            waitingReaders.notify()
        }
    }

    /// The caller has taken the writers' lock from a dead writer, whose turn is over, and whose death is told until a writer has been.
    private func noteDeath() {
        stateWord.pointee.store(state.next(writerDied: true).rawValue, ordering: .releasing)
        // As the dead one would have done.
        wakeReaders()
    }

    // MARK: The turn

    /// What a writer does in its turn, when it gets it: `isAfterDeath` when the last one has died in its own.
    @inlinable @inline(__always)
    func writing<R>(afterDeath isAfterDeath: Bool, _ body: () throws -> R) throws -> R {
        defer { endWriting(writerDied: false) }
        if isAfterDeath { try refuse() }
        return try body()
    }

    @inlinable @inline(__always)
    func writing<R>(afterDeath isAfterDeath: Bool, repair: () throws -> Void, _ body: () throws -> R) throws -> R {
        if isAfterDeath {
            do { try repair() } catch {
                endWriting(writerDied: true)
                throw error
            }
        }
        defer { endWriting(writerDied: false) }
        return try body()
    }

    @usableFromInline
    func refuse() throws { throw ownerDied }

    // MARK: After a death

    func settleDeath() {
        places.freeThoseOfTheDead()
        // One whose owner's list names it is free by now. Not so one that was a task's, which is in no list.
        let owner = writersWord & ThreadRecords.tokenMask
        if owner != 0, !ThreadRecords.isLive(owner, in: block.arena) { writers.settle(owner) }
        waitingReaders.whileChanging { waitingReaders.notifyAll() }
        waitingWriter.whileChanging { waitingWriter.notifyAll() }
    }
}
