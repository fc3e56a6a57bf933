import SystemLayer

extension SharedValue {
    /// The calls that wait, for asynchronous functions.
    public var async: Async { Async(shared: self) }

    /// Waits for a value's lock without blocking a thread of the concurrency pool.
    public struct Async: Sendable {
        fileprivate let shared: SharedValue

        /// As ``SharedValue/withLock(_:)``. When the task is cancelled before it has the lock, it throws a `CancellationError` at once.
        public func withLock<R>(isolation: isolated (any Actor)? = #isolation, _ body: (inout T) throws -> R) async throws -> R {
            try Task.checkCancellation()
            return try await shared.lockWord.whenFree(in: shared.arena, isolation: isolation) { taken in
                // An update is all or nothing, so it does not matter whether the last owner has died.
                if shared.lockWord.tryLock(in: shared.arena) == .notTaken { return nil }
                taken()
                defer { shared.lockWord.unlock() }
                return try shared.changing(body)
            }
        }
    }
}

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
            try Task.checkCancellation()
            return try await shared.lockWord.whenFree(in: shared.arena, isolation: isolation) { taken in
                let attempt = shared.lockWord.tryLock(in: shared.arena)
                if attempt == .notTaken { return nil }
                taken()
                defer { shared.lockWord.unlock() }
                return try shared.changing(after: attempt, repair: repair, body)
            }
        }
    }

    // A function of its own, as the optimiser of Swift 6.3 breaks off at the span in the closure.
    private func changing<R>(
        after attempt: ProcessSharedMutex.Attempt, repair: (inout MutableSpan<T>) throws -> Void, _ body: (inout MutableSpan<T>) throws -> R
    ) throws -> R {
        var span = elements.mutableSpan
        if attempt == .takenFromDead { try repair(&span) }
        return try body(&span)
    }
}
