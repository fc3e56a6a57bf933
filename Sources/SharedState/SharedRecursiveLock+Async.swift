import SystemLayer

extension SharedRecursiveLock {
    /// The calls that wait, for asynchronous functions.
    public var async: Async { Async(lock: self) }

    /// Waits for a lock without blocking a thread of the concurrency pool. What is done under the lock is synchronous: a lock's owner is a thread, and an
    /// asynchronous function may go on in another after each `await`.
    public struct Async: Sendable {
        fileprivate let lock: SharedRecursiveLock

        /// As ``SharedRecursiveLock/withLock(_:)``. When the task is cancelled before it has the lock, it throws a `CancellationError` at once.
        public func withLock<R>(isolation: isolated (any Actor)? = #isolation, _ body: () throws -> R) async throws -> R {
            try await withLock(isolation: isolation, afterDeath: { try lock.refuse($0) }, body)
        }

        /// As ``SharedRecursiveLock/withLock(repair:_:)``. When the task is cancelled before it has the lock, it throws a `CancellationError` at once.
        public func withLock<R>(
            isolation: isolated (any Actor)? = #isolation, repair: () throws -> Void, _ body: () throws -> R
        ) async throws -> R {
            try await withLock(isolation: isolation, afterDeath: { _ in try lock.repairing(repair) }, body)
        }

        /// As ``withLock(isolation:_:)``, if the lock is to be had within `timeout`. Who has it then keeps it as long as `body` takes.
        /// - Returns: what `body` returns; nil when the lock was not to be had, and `body` was not called.
        public func withLock<R>(
            timeout: Duration, isolation: isolated (any Actor)? = #isolation, _ body: () throws -> R
        ) async throws -> R? {
            try await attempt(until: Deadline(after: timeout), isolation: isolation, afterDeath: { try lock.refuse($0) }, body)
        }

        /// As ``withLock(isolation:repair:_:)``, if the lock is to be had within `timeout`.
        /// - Returns: what `body` returns; nil when the lock was not to be had, and neither was called.
        public func withLock<R>(
            timeout: Duration, isolation: isolated (any Actor)? = #isolation, repair: () throws -> Void, _ body: () throws -> R
        ) async throws -> R? {
            try await attempt(until: Deadline(after: timeout), isolation: isolation, afterDeath: { _ in try lock.repairing(repair) }, body)
        }

        private func withLock<R>(
            isolation: isolated (any Actor)?, afterDeath settle: (OwnerDied) throws -> Void, _ body: () throws -> R
        ) async throws -> R {
            while true {
                if let result = try await attempt(until: .never, isolation: isolation, afterDeath: settle, body) { return result }
            }
        }

        private func attempt<R>(
            until deadline: Deadline, isolation: isolated (any Actor)?, afterDeath settle: (OwnerDied) throws -> Void,
            _ body: () throws -> R
        ) async throws -> R? {
            try await lock.owner.whenFree(until: deadline, in: lock.arena, isolation: isolation) {
                do { guard try lock.tryLock() else { return nil } } catch let death as OwnerDied { try settle(death) }
                return try lock.unlocking(body)
            }
        }
    }
}
