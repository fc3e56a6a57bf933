package import BinaryCoding
import SharedState
package import WorkTransfer

/// What every worker of a pool runs before its first task.
package struct PoolInitializer: Sendable {
    private let entry: @Sendable (Arena) throws -> FunctionCatalog.Entry
    private let encodeArguments: @Sendable (ByteWriter) throws -> Void

    package init(_ invocation: some HostInvocation & Sendable, _ encodeArguments: @escaping @Sendable (ByteWriter) throws -> Void) {
        entry = { try FunctionCatalog.entry(for: invocation, in: $0) }
        self.encodeArguments = encodeArguments
    }

    /// Puts the call into a worker's launch. Returns what must stay alive until the worker has begun.
    func prepare(_ launch: LaunchBlock) throws -> [AnyObject] {
        let function = try entry(launch.arena)
        (launch.header.pointee.function, launch.header.pointee.functionBytes) = (function.offset, function.size)
        return try launch.setArguments(encodeArguments)
    }
}
