package import BinaryCoding
import SharedState
package import WorkTransfer

/// What every worker of a pool runs before its first task.
package struct PoolInitializer: Sendable {
    private let entry: @Sendable (Arena) throws -> FunctionCatalog.Entry
    private var encodeArguments: @Sendable (ByteWriter) throws -> Void

    package init(_ invocation: some HostInvocation & Sendable, _ encodeArguments: @escaping @Sendable (ByteWriter) throws -> Void) {
        entry = { try FunctionCatalog.entry(for: invocation, in: $0) }
        self.encodeArguments = encodeArguments
    }

    /// The same with its arguments encoded, once for all workers: those that are replaced are started by a thread that must wait for no user's code.
    func encoded() throws -> PoolInitializer {
        let writer = HeapByteWriter()
        try encodeArguments(writer)
        var copy = self
        nonisolated(unsafe) let objects = writer.retained  // only kept alive
        copy.encodeArguments = { [bytes = writer.bytes] writer in
            try bytes.withUnsafeBytes { try writer.append(contentsOf: $0) }
            writer.retained = objects
        }
        return copy
    }

    /// Puts the call into a worker's launch. Returns what must stay alive until the worker has begun.
    func prepare(_ launch: LaunchBlock) throws -> [AnyObject] {
        let function = try entry(launch.arena)
        (launch.header.pointee.function, launch.header.pointee.functionBytes) = (function.offset, function.size)
        return try launch.setArguments(encodeArguments)
    }
}
