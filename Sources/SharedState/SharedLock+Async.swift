import SystemLayer

extension SharedLock {
    /// The calls that wait, for asynchronous functions.
    public var async: Async { Async(lock: self) }

    /// Waits for a lock without blocking a thread of the concurrency pool. What is done under the lock is synchronous: a lock's owner is a thread, and an
    /// asynchronous function may go on in another after each `await`.
    ///
    /// A task that is cancelled while it waits for one of the C library's kinds is told within some 5 ms, as such a wait cannot be ended.
    public struct Async: Sendable {
        fileprivate let lock: SharedLock

        /// As ``SharedLock/withLock(_:fileID:line:)``. When the task is cancelled before it has the lock, it throws a `CancellationError` at once.
        public func withLock<R>(
            isolation: isolated (any Actor)? = #isolation, _ body: () throws -> R, fileID: StaticString = #fileID, line: UInt = #line
        ) async throws -> R {
            let site = CallSite(fileID, line)
            while true {
                if let result = try await attempt(until: .never, site, isolation: isolation, afterDeath: { try lock.refuse($0) }, body) {
                    return result
                }
            }
        }

        /// As ``SharedLock/withLock(repair:_:fileID:line:)``. When the task is cancelled before it has the lock, it throws a `CancellationError` at once.
        public func withLock<R>(
            isolation: isolated (any Actor)? = #isolation, repair: () throws -> Void, _ body: () throws -> R,
            fileID: StaticString = #fileID,
            line: UInt = #line
        ) async throws -> R {
            let site = CallSite(fileID, line)
            while true {
                if let result = try await attempt(
                    until: .never, site, isolation: isolation, afterDeath: { _ in try lock.repairing(repair) }, body)
                {
                    return result
                }
            }
        }

        /// As ``withLock(isolation:_:fileID:line:)``, if the lock is to be had within `timeout`. Who has it then keeps it as long as `body` takes.
        /// - Returns: what `body` returns; nil when the lock was not to be had, and `body` was not called.
        public func withLock<R>(
            timeout: Duration, isolation: isolated (any Actor)? = #isolation, _ body: () throws -> R, fileID: StaticString = #fileID,
            line: UInt = #line
        ) async throws -> R? {
            let (deadline, site) = (Deadline(after: timeout), CallSite(fileID, line))
            return try await attempt(until: deadline, site, isolation: isolation, afterDeath: { try lock.refuse($0) }, body)
        }

        /// As ``withLock(isolation:repair:_:fileID:line:)``, if the lock is to be had within `timeout`.
        /// - Returns: what `body` returns; nil when the lock was not to be had, and neither was called.
        public func withLock<R>(
            timeout: Duration, isolation: isolated (any Actor)? = #isolation, repair: () throws -> Void, _ body: () throws -> R,
            fileID: StaticString = #fileID, line: UInt = #line
        ) async throws -> R? {
            let (deadline, site) = (Deadline(after: timeout), CallSite(fileID, line))
            return try await attempt(until: deadline, site, isolation: isolation, afterDeath: { _ in try lock.repairing(repair) }, body)
        }

        private func attempt<R>(
            until deadline: Deadline, _ site: CallSite, isolation: isolated (any Actor)?, afterDeath settle: (OwnerDied) throws -> Void,
            _ body: () throws -> R
        ) async throws -> R? {
            // For its profile: the wait of a task is from its first attempt to the one that succeeds, or to none.
            var began: UInt64?
            var isTaken = false
            defer { if !isTaken, let began { lock.noteGivenUp(since: began) } }
            return try await AsyncGate.whenFree(lock.handle, until: deadline, isolation: isolation) { cancellation, attempts in
                try lock.waitUntilFree(until: deadline, cancellation, afterAttempts: attempts)
            } _: { request in
                defer { if !isTaken, began == nil { began = lock.recorder?.now } }
                guard lock.conclude(request ?? .none) || deadline.hasPassed else { return nil }
                return try lock.withLockIfFree(site, waitingSince: began) { death in
                    isTaken = true
                    try settle(death)
                } _: {
                    isTaken = true
                    return try body()
                }
            }
        }
    }

    /// - Parameters:
    ///   - began: since when it is waited for, on the profile's clock; nil: it is not.
    ///   - settle: what to do, with the lock, about a dead owner. When it throws, it has released the lock.
    /// - Returns: nil when another holds it.
    func withLockIfFree<R>(
        _ site: CallSite, waitingSince began: UInt64? = nil, afterDeath settle: (OwnerDied) throws -> Void, _ body: () throws -> R
    ) throws -> R? {
        do { guard try tryLock(site, waitingSince: began) else { return nil } } catch let death as OwnerDied { try settle(death) }
        return try unlocking(body)
    }

    /// Blocks until nobody seems to hold the lock, which is then left to whoever takes it; at most until `deadline`.
    /// - Parameter attempts: how many have been made to take it. After a few in vain it is asked for, where its kind knows that.
    /// - Returns: what has been asked, for the next attempt to conclude.
    /// - Throws: `CancellationError` once `cancellation` is.
    @discardableResult
    func waitUntilFree(until deadline: Deadline, _ cancellation: WaitCancellation, afterAttempts attempts: Int = 0) throws -> LockRequest {
        if let adaptive { return try adaptive.waitUntilFree(until: deadline, in: arena, cancellation, afterAttempts: attempts) }
        guard let pthread else { return .none }
        // The C library's locks can only be waited for by taking them, in the thread that lets go of them again: so this one takes it, lets go, and has seen it
        // free. The library's unlock wakes the next that waits for it.
        while !cancellation.isCancelled {
            // Nothing ends such a wait but its time.
            let part = min(deadline, Deadline(after: Self.uninterrupted))
            switch try pthread.mutex.lock(until: part) {
            case .notTaken:
                if deadline.hasPassed { return .none }
                continue
            // It is told only once, and not to who is to know it. Should this thread die before it has said so, it is told again.
            case .takenFromDead: pthread.owner.leaveWordOfDeath()
            case .taken: break
            }
            try pthread.mutex.unlock()
            return .none
        }
        throw CancellationError()
    }

    /// As ``OwnerLock/conclude(_:)``.
    func conclude(_ request: LockRequest) -> Bool { adaptive?.conclude(request) ?? true }

    /// For how long a cancelled wait for one of the C library's locks may go on: short for who has cancelled it, and long beside the 10 us that looking takes.
    private static let uninterrupted = Duration.milliseconds(5)
}
