import WorkTransfer
import WorkerSupervision

/// A function that every worker of a pool calls once, before its first task; for what its tasks are to find in global variables.
///
/// When it throws, the pool is broken, with that error as the cause.
public struct WorkerInitializer: Sendable {
    let initializer: PoolInitializer

    /// - Parameters:
    ///   - function: a function reference, or a closure that captures nothing.
    ///   - argument: its arguments, which may contain shared objects.
    public init<each A: Codable & Sendable>(_ function: @escaping @Sendable (repeat each A) throws -> Void, _ argument: repeat each A) {
        let arguments = (repeat each argument)
        initializer = PoolInitializer(VoidInvocation(function)) { writer in
            try VoidInvocation<repeat each A>.encodeArguments(repeat each arguments, to: writer)
        }
    }
}
