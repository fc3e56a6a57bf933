import Synchronization
import SystemLayer

/// What a thread has asked of a lock on behalf of a task, which takes the lock in another thread.
struct LockRequest: Sendable {
    /// Of the thread; 0 where it has asked for nothing.
    fileprivate let token: UInt32

    static let none = LockRequest(token: 0)
}

extension OwnerLock {
    /// As ``AsyncGate/whenFree(_:until:isolation:wait:_:)``, of this lock.
    func whenFree<R>(
        until deadline: Deadline, in arena: Arena, isolation: isolated (any Actor)?, _ attempt: () throws -> R?
    ) async throws -> R? {
        try await AsyncGate.whenFree(offset, until: deadline, isolation: isolation) { cancellation, attempts in
            try waitUntilFree(until: deadline, in: arena, cancellation, afterAttempts: attempts)
        } _: { request in
            conclude(request ?? .none) || deadline.hasPassed ? try attempt() : nil
        }
    }

    /// Waits, as who wants the lock does, until nobody holds it, at most until `deadline`, and leaves it to another thread of this process to take it: somebody else
    /// may be faster. So it asks for the lock when there were several attempts and sleeps in vain; others then leave it free, if for 5 ms at most.
    ///
    /// It ends with the lock announced. So whoever takes it next wakes a sleeper when it lets go, as the one that this thread may have been woken in place of. Should
    /// nobody take it, because the task it is meant for is gone, the sleepers find the free lock when they look by themselves.
    /// - Returns: what has been asked, for the next attempt to conclude. Should the process die before, it delays others once.
    /// - Throws: `CancellationError` once `cancellation` is.
    @discardableResult
    func waitUntilFree(
        until deadline: Deadline = .never, in arena: Arena, _ cancellation: WaitCancellation, afterAttempts attempts: Int = 0
    ) throws -> LockRequest {
        let token = ThreadRecords.currentToken(in: arena)
        // If this thread dies, another is woken in its place.
        ThreadRecords.enter(offset)
        defer { ThreadRecords.leave(offset) }
        defer { cancellation.unwatch() }
        /// Attempts and sleeps.
        var inVain = attempts
        var standsBack = true
        while true {
            let isLast = cancellation.isCancelled || deadline.hasPassed
            // Before the look that follows: who lets go of the lock after that calls another.
            if isLast { withdraw(token) }
            let (current, seen, isSure) = announce(asking: !isLast && inVain > Self.patience ? token : 0)
            let owner = current & ThreadRecords.tokenMask
            if isLast {
                // It may have been woken for it.
                if cancellation.isCancelled, owner == 0 { wakeOne() }
                if cancellation.isCancelled { throw CancellationError() }
                return .none
            }
            let hasAsked = Self.asker(seen) == token
            if owner == 0 {
                if isFor(token) { return hasAsked ? LockRequest(token: token) : .none }
                // As in `lockSlowly`, who has asked need not be there to take it.
                if !standsBack {
                    withdrawAll()
                    return .none
                }
            }
            let sleeper = hasAsked ? word : announcement
            cancellation.watch(sleeper)
            if cancellation.isCancelled { continue }
            if !sleeper.wait(while: hasAsked ? current : seen, until: min(deadline, Self.limit(ofSleepFor: owner, isSure: isSure))) {
                standsBack = false
                // Should nobody be left to hand the lock on.
                if owner != 0, !ThreadRecords.isLive(owner, in: arena) { settle(owner) }
            }
            inVain += 1
        }
    }

    /// Withdraws `request`, which may be none, so that an attempt is made, at once.
    /// - Returns: false when another has asked, to whom the lock should be left.
    func conclude(_ request: LockRequest) -> Bool {
        guard isFor(request.token) else { return false }
        if request.token != 0 { withdraw(request.token) }
        return true
    }
}
