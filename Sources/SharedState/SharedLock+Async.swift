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
            do { try await take(isolation: isolation) } catch let death as OwnerDied {
                try lock.unlock()
                throw death
            }
            return try lock.unlocking(body)
        }

        /// As ``SharedLock/withLock(repair:_:)``. When the task is cancelled before it has the lock, it throws a `CancellationError` at once.
        public func withLock<R>(
            isolation: isolated (any Actor)? = #isolation, repair: () throws -> Void, _ body: () throws -> R
        ) async throws -> R {
            do { try await take(isolation: isolation) } catch is OwnerDied {
                do { try repair() } catch {
                    try lock.unlock()
                    throw error
                }
            }
            return try lock.unlocking(body)
        }

        /// Takes the lock in the thread that goes on here; nothing is awaited after that.
        private func take(isolation: isolated (any Actor)?) async throws {
            try Task.checkCancellation()
            while try !lock.tryLock() {
                if let adaptive = lock.adaptive {
                    try await AsyncWait.run { [arena = lock.arena] in try adaptive.waitUntilFree(in: arena, $0) }
                } else {
                    // The C library's locks can only be waited for by taking them, and an owner's death is told only once.
                    try await Task.sleep(for: .milliseconds(1))
                }
            }
        }
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

    /// As ``SharedLock/Async-swift.struct``.
    public struct Async: Sendable {
        fileprivate let lock: SharedRecursiveLock

        /// As ``SharedRecursiveLock/withLock(_:)``. When the task is cancelled before it has the lock, it throws a `CancellationError` at once.
        public func withLock<R>(isolation: isolated (any Actor)? = #isolation, _ body: () throws -> R) async throws -> R {
            try Task.checkCancellation()
            do {
                while try !lock.tryLock() {
                    try await AsyncWait.run { [owner = lock.owner, arena = lock.arena] in try owner.waitUntilFree(in: arena, $0) }
                }
            } catch let death as OwnerDied {
                try lock.unlock()
                throw death
            }
            return try lock.unlocking(body)
        }
    }
}
