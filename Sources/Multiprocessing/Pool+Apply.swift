import SystemLayer
import WorkerSupervision

extension Pool {
    /// Calls `function` with the arguments in a worker, and waits for what it returns. Blocks the calling thread.
    /// - Throws: what ``Future/get(timeout:)`` throws.
    @inlinable
    public func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> R, _ argument: repeat each A
    ) throws -> R {
        try core.callAndWait(function, repeat each argument)
    }

    /// The same with the function as a trailing closure.
    @inlinable
    @_disfavoredOverload
    public func apply<each A: Codable & Sendable, R: Codable & Sendable>(
        _ argument: repeat each A, body function: @escaping @Sendable (repeat each A) throws -> R
    ) throws -> R {
        try apply(function, repeat each argument)
    }

    /// Calls `function` with the arguments in a worker, and waits for its end.
    @inlinable
    public func apply<each A: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> Void, _ argument: repeat each A
    ) throws {
        try core.callVoidAndWait(function, repeat each argument)
    }

    /// The same with the function as a trailing closure.
    @inlinable
    @_disfavoredOverload
    public func apply<each A: Codable & Sendable>(
        _ argument: repeat each A, body function: @escaping @Sendable (repeat each A) throws -> Void
    ) throws {
        try apply(function, repeat each argument)
    }

    /// Has `function` called with the arguments in a worker. Blocks only while more than a thousand calls wait for workers.
    ///
    /// A call that cannot be submitted gives a future that has failed.
    @inlinable
    @discardableResult
    public func applyAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> R, _ argument: repeat each A
    ) -> Future<R> {
        core.call(function, repeat each argument)
    }

    /// The same with the function as a trailing closure.
    @inlinable
    @discardableResult
    @_disfavoredOverload
    public func applyAsync<each A: Codable & Sendable, R: Codable & Sendable>(
        _ argument: repeat each A, body function: @escaping @Sendable (repeat each A) throws -> R
    ) -> Future<R> {
        core.call(function, repeat each argument)
    }

    /// Has `function` called with the arguments in a worker.
    @inlinable
    @discardableResult
    public func applyAsync<each A: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> Void, _ argument: repeat each A
    ) -> Future<Void> {
        core.callVoid(function, repeat each argument)
    }

    /// The same with the function as a trailing closure.
    @inlinable
    @discardableResult
    @_disfavoredOverload
    public func applyAsync<each A: Codable & Sendable>(
        _ argument: repeat each A, body function: @escaping @Sendable (repeat each A) throws -> Void
    ) -> Future<Void> {
        core.callVoid(function, repeat each argument)
    }
}
