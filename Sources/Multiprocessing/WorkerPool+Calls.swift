import WorkTransfer
import WorkerSupervision

/// The two forms of a call, each written once for all that offer it.
extension WorkerPool {
    func call<each A: Codable & Sendable, R: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> R, _ argument: repeat each A, isSupervised: Bool = false,
        timeout: Duration? = nil
    ) -> Future<R> {
        let invocation = Invocation(function)
        let core = submit(invocation.key, isSupervised: isSupervised, timeout: timeout, { invocation }) { writer in
            try Invocation<repeat each A, R>.encodeArguments(repeat each argument, to: writer)
        }
        return Future(core) { outcome in try outcome.decoded { try Invocation<repeat each A, R>.decodeOutput(from: &$0) } }
    }

    func callVoid<each A: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each A) throws -> Void, _ argument: repeat each A, isSupervised: Bool = false,
        timeout: Duration? = nil
    ) -> Future<Void> {
        let invocation = VoidInvocation(function)
        let core = submit(invocation.key, isSupervised: isSupervised, timeout: timeout, { invocation }) { writer in
            try VoidInvocation<repeat each A>.encodeArguments(repeat each argument, to: writer)
        }
        return Future(core) { outcome in try outcome.decoded { _ in } }
    }
}
