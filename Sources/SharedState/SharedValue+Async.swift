import SystemLayer

extension SharedValue {
    /// The calls that wait, for asynchronous functions.
    public var async: Async { Async(shared: self) }

    /// Waits for a value's lock without blocking a thread of the concurrency pool.
    public struct Async: Sendable {
        fileprivate let shared: SharedValue

        /// As ``SharedValue/withLock(_:)``. When the task is cancelled before it has the lock, it throws a `CancellationError` at once.
        public func withLock<R>(isolation: isolated (any Actor)? = #isolation, _ body: (inout T) throws -> R) async throws -> R {
            while true {
                if let result = try await attempt(until: .never, isolation: isolation, body) { return result }
            }
        }

        /// As ``withLock(isolation:_:)``, if the lock is to be had within `timeout`. Who has it then keeps it as long as `body` takes.
        /// - Returns: what `body` returns; nil when the lock was not to be had, and `body` was not called.
        public func withLock<R>(
            timeout: Duration, isolation: isolated (any Actor)? = #isolation, _ body: (inout T) throws -> R
        ) async throws -> R? {
            try await attempt(until: Deadline(after: timeout), isolation: isolation, body)
        }

        private func attempt<R>(
            until deadline: Deadline, isolation: isolated (any Actor)?, _ body: (inout T) throws -> R
        ) async throws -> R? {
            try await shared.lockWord.whenFree(until: deadline, in: shared.arena, isolation: isolation) {
                // An update is all or nothing, so it does not matter whether the last owner has died.
                if shared.lockWord.tryLock(in: shared.arena) == .notTaken { return nil }
                defer { shared.lockWord.unlock() }
                return try shared.changing(body)
            }
        }
    }
}
