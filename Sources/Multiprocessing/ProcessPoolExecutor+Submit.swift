import SystemLayer
import WorkerSupervision

extension ProcessPoolExecutor {
    /// Has `function` called with the arguments in a worker. Blocks only while more than a thousand calls wait for workers.
    ///
    /// A call that cannot be submitted gives a future that has failed.
    @inlinable
    @discardableResult
    public func submit<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> R, _ argument: repeat each A
    ) -> Future<R> {
        core.call(function, repeat each argument)
    }

    /// The same with the function as a trailing closure.
    @inlinable
    @discardableResult
    @_disfavoredOverload
    public func submit<each A: Codable & Sendable, R: Codable & Sendable>(
        _ argument: repeat each A, body function: @escaping @Sendable (repeat each A) throws -> R
    ) -> Future<R> {
        core.call(function, repeat each argument)
    }

    /// Has `function` called with the arguments in a worker.
    @inlinable
    @discardableResult
    public func submit<each A: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> Void, _ argument: repeat each A
    ) -> Future<Void> {
        core.callVoid(function, repeat each argument)
    }

    /// The same with the function as a trailing closure.
    @inlinable
    @discardableResult
    @_disfavoredOverload
    public func submit<each A: Codable & Sendable>(
        _ argument: repeat each A, body function: @escaping @Sendable (repeat each A) throws -> Void
    ) -> Future<Void> {
        core.callVoid(function, repeat each argument)
    }

    /// Calls `function` with the arguments in a worker, and gives what it returns. Cancelling the Swift task cancels the call; a worker that is on it is killed.
    /// - Parameter timeout: from now; the call's worker is killed when it passes, and ``TaskTimeout`` thrown.
    /// - Throws: what ``Future/value`` throws.
    public func run<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> R, _ argument: repeat each A, timeout: Duration? = nil
    ) async throws -> R {
        try Task.checkCancellation()
        return try await core.call(function, repeat each argument, isSupervised: true, timeout: timeout).cancellableValue
    }

    /// The same with the function as a trailing closure.
    @_disfavoredOverload
    public func run<each A: Codable & Sendable, R: Codable & Sendable>(
        _ argument: repeat each A, timeout: Duration? = nil, body function: @escaping @Sendable (repeat each A) throws -> R
    ) async throws -> R {
        try await run(function, repeat each argument, timeout: timeout)
    }

    /// Calls `function` with the arguments in a worker, and returns when it has ended.
    public func run<each A: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> Void, _ argument: repeat each A, timeout: Duration? = nil
    ) async throws {
        try Task.checkCancellation()
        try await core.callVoid(function, repeat each argument, isSupervised: true, timeout: timeout).cancellableValue
    }

    /// The same with the function as a trailing closure.
    @_disfavoredOverload
    public func run<each A: Codable & Sendable>(
        _ argument: repeat each A, timeout: Duration? = nil, body function: @escaping @Sendable (repeat each A) throws -> Void
    ) async throws {
        try await run(function, repeat each argument, timeout: timeout)
    }
}

extension Future {
    /// The value; cancelling the awaiting task cancels the work.
    fileprivate var cancellableValue: Output {
        get async throws {
            try await withTaskCancellationHandler {
                try await value
            } onCancel: {
                self.cancel()
            }
        }
    }
}
