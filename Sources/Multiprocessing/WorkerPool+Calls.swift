public import BinaryCoding
public import WorkTransfer
public import WorkerSupervision

/// The forms of a call, each written once for all that offer it. Inlinable, as what is compiled for any type looks types up at each call.
extension WorkerPool {
    /// Calls `function`, and waits for what it returns.
    @inlinable
    func callAndWait<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> R, _ argument: repeat each A
    ) throws -> R {
        let invocation = Invocation(function)
        var result: R?
        try call(invocation.key, { invocation.erased }) { writer in
            try Invocation<repeat each A, R>.encodeArguments(repeat each argument, to: writer)
        } _: { reader, outcome in
            if let outcome {
                result = try outcome.decoded { try Invocation<repeat each A, R>.decodeOutput(from: &$0) }
            } else {
                result = try Invocation<repeat each A, R>.decodeOutput(from: &reader)
            }
        }
        guard let result else { preconditionFailure("a call without a result") }
        return result
    }

    @inlinable
    func callVoidAndWait<each A: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> Void, _ argument: repeat each A
    ) throws {
        let invocation = VoidInvocation(function)
        try call(invocation.key, { invocation.erased }) { writer in
            try VoidInvocation<repeat each A>.encodeArguments(repeat each argument, to: writer)
        } _: { _, outcome in
            if let outcome { try outcome.decoded { _ in } }
        }
    }

    @inlinable
    func call<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> R, _ argument: repeat each A, isSupervised: Bool = false,
        timeout: Duration? = nil
    ) -> Future<R> {
        let invocation = Invocation(function)
        let future = Future<R>(in: self) { outcome in try outcome.decoded { try Invocation<repeat each A, R>.decodeOutput(from: &$0) } }
        submit(future, invocation.key, isSupervised: isSupervised, timeout: timeout, { invocation.erased }) { writer in
            try Invocation<repeat each A, R>.encodeArguments(repeat each argument, to: writer)
        }
        return future
    }

    @inlinable
    func callVoid<each A: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> Void, _ argument: repeat each A, isSupervised: Bool = false,
        timeout: Duration? = nil
    ) -> Future<Void> {
        let invocation = VoidInvocation(function)
        let future = Future<Void>(in: self) { outcome in try outcome.decoded { _ in } }
        submit(future, invocation.key, isSupervised: isSupervised, timeout: timeout, { invocation.erased }) { writer in
            try VoidInvocation<repeat each A>.encodeArguments(repeat each argument, to: writer)
        }
        return future
    }
}
