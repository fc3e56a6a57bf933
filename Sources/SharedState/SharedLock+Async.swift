import SystemLayer

extension SharedLock {
    /// The calls that wait, for asynchronous functions.
    public var async: Async { Async(lock: self) }

    /// Waits for a lock without blocking a thread of the concurrency pool. What is done under the lock is synchronous: a lock's owner is a thread, and an
    /// asynchronous function may go on in another after each `await`.
    public struct Async: Sendable {
        fileprivate let lock: SharedLock

        /// As ``SharedLock/withLock(_:)``. When the task is cancelled before it has the lock, it throws a `CancellationError` at once.
        public func withLock<R>(isolation: isolated (any Actor)? = #isolation, _ body: () throws -> R) async throws -> R {
            try await attempt(isolation: isolation) { taken in
                try lock.withLockIfFree(taken, afterDeath: { throw $0 }, body)
            }
        }

        /// As ``SharedLock/withLock(repair:_:)``. When the task is cancelled before it has the lock, it throws a `CancellationError` at once.
        public func withLock<R>(
            isolation: isolated (any Actor)? = #isolation, repair: () throws -> Void, _ body: () throws -> R
        ) async throws -> R {
            try await attempt(isolation: isolation) { taken in
                try lock.withLockIfFree(taken, afterDeath: { _ in try repair() }, body)
            }
        }

        private func attempt<R>(
            isolation: isolated (any Actor)?, _ attempt: (_ taken: () -> Void) throws -> R?
        ) async throws -> R {
            try Task.checkCancellation()
            if let adaptive = lock.adaptive { return try await adaptive.whenFree(in: lock.arena, isolation: isolation, attempt) }
            while true {
                if let result = try attempt({}) { return result }
                // The C library's locks can only be waited for by taking them, and an owner's death is told only once.
                try await Task.sleep(for: .milliseconds(1))
            }
        }
    }

    /// - Parameter taken: called once the lock is held.
    /// - Returns: nil when another holds it.
    private func withLockIfFree<R>(_ taken: () -> Void, afterDeath repair: (OwnerDied) throws -> Void, _ body: () throws -> R) throws -> R?
    {
        do {
            guard try tryLock() else { return nil }
            taken()
        } catch let death as OwnerDied {
            taken()
            do { try repair(death) } catch {
                try unlock()
                throw error
            }
        }
        return try unlocking(body)
    }

    /// Takes the lock in the calling thread, which may block.
    /// - Throws: `CancellationError` once `cancellation` is; ``OwnerDied``, with the lock released.
    func lock(_ cancellation: WaitCancellation) throws {
        do {
            if let adaptive {
                while try !tryLock() { try adaptive.waitUntilFree(in: arena, cancellation) }
            } else {
                while try !lock(timeout: .milliseconds(20)) { if cancellation.isCancelled { throw CancellationError() } }
            }
        } catch let death as OwnerDied {
            try unlock()
            throw death
        }
    }
}

extension SharedRecursiveLock {
    /// The calls that wait, for asynchronous functions.
    public var async: Async { Async(lock: self) }

    /// Waits for a lock without blocking a thread of the concurrency pool. What is done under the lock is synchronous: a lock's owner is a thread, and an
    /// asynchronous function may go on in another after each `await`.
    public struct Async: Sendable {
        fileprivate let lock: SharedRecursiveLock

        /// As ``SharedRecursiveLock/withLock(_:)``. When the task is cancelled before it has the lock, it throws a `CancellationError` at once.
        public func withLock<R>(isolation: isolated (any Actor)? = #isolation, _ body: () throws -> R) async throws -> R {
            try Task.checkCancellation()
            return try await lock.owner.whenFree(in: lock.arena, isolation: isolation) { taken in
                do {
                    guard try lock.tryLock() else { return nil }
                    taken()
                } catch let death as OwnerDied {
                    try lock.unlock()
                    throw death
                }
                return try lock.unlocking(body)
            }
        }
    }
}
