import SystemLayer

extension SharedArray {
    /// The calls that wait, for asynchronous functions.
    public var async: Async { Async(shared: self) }

    /// Waits for an array's lock without blocking a thread of the concurrency pool.
    public struct Async: Sendable {
        fileprivate let shared: SharedArray

        /// As ``SharedArray/withLock(_:)``. When the task is cancelled before it has the lock, it throws a `CancellationError` at once.
        public func withLock<R>(
            isolation: isolated (any Actor)? = #isolation, _ body: (inout MutableSpan<T>) throws -> R
        ) async throws -> R {
            try await withLock(isolation: isolation, repair: { _ in }, body)
        }

        /// As ``SharedArray/withLock(repair:_:)``. When the task is cancelled before it has the lock, it throws a `CancellationError` at once.
        public func withLock<R>(
            isolation: isolated (any Actor)? = #isolation, repair: (inout MutableSpan<T>) throws -> Void,
            _ body: (inout MutableSpan<T>) throws -> R
        ) async throws -> R {
            while true {
                if let result = try await attempt(until: .never, isolation: isolation, repair: repair, body) { return result }
            }
        }

        /// As ``withLock(isolation:_:)``, if the lock is to be had within `timeout`. Who has it then keeps it as long as `body` takes.
        /// - Returns: what `body` returns; nil when the lock was not to be had, and `body` was not called.
        public func withLock<R>(
            timeout: Duration, isolation: isolated (any Actor)? = #isolation, _ body: (inout MutableSpan<T>) throws -> R
        ) async throws -> R? {
            try await attempt(until: Deadline(after: timeout), isolation: isolation, repair: { _ in }, body)
        }

        /// As ``withLock(isolation:repair:_:)``, if the lock is to be had within `timeout`.
        /// - Returns: what `body` returns; nil when the lock was not to be had, and neither was called.
        public func withLock<R>(
            timeout: Duration, isolation: isolated (any Actor)? = #isolation, repair: (inout MutableSpan<T>) throws -> Void,
            _ body: (inout MutableSpan<T>) throws -> R
        ) async throws -> R? {
            try await attempt(until: Deadline(after: timeout), isolation: isolation, repair: repair, body)
        }

        private func attempt<R>(
            until deadline: Deadline, isolation: isolated (any Actor)?, repair: (inout MutableSpan<T>) throws -> Void,
            _ body: (inout MutableSpan<T>) throws -> R
        ) async throws -> R? {
            try await shared.lockWord.whenFree(until: deadline, in: shared.arena, isolation: isolation) {
                let attempt = shared.lockWord.tryLock(in: shared.arena)
                if attempt == .notTaken { return nil }
                return try shared.changing(after: attempt, repair: repair, body)
            }
        }
    }
}
