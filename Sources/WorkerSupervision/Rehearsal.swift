import BinaryCoding
import Glibc
import SharedState
import SystemLayer
import WorkTransfer

/// What every worker does, done once with nothing at stake: finding types by their names and their conformances, making a function, decoding, calling, encoding.
///
/// The first time costs most of a millisecond, for the runtime keeps what it has found, the dynamic linker what it has bound, the kernel what it has
/// mapped. The fork server does it before it forks anybody, so that its workers inherit what was found; a worker that waits does it so that its pages are there.
/// Nobody else has a thread in those processes. It uses no concurrency, no thread and no lock that a fork could split, and takes nothing from the arena.
@_cdecl("mp_worker_rehearse")
func rehearse() {
    guard let arena = try? Arena.current() else { return }
    withUnsafeTemporaryAllocation(byteCount: 256, alignment: 16) { memory in
        let writer = ArenaByteWriter(memory, in: arena)
        // What goes wrong here goes wrong, and is said, when it is needed.
        try? call(VoidInvocation({}), writer) { _ in }
        try? call(Invocation<Int, Int>({ $0 }), writer) { try Invocation<Int, Int>.encodeArguments(1, to: $0) }
        writer.removeAll()
        ErrorTransfer.encode(UsageError(""), to: writer)
        try? decodeSettings(writer)
        ThisProcess.flushOutput()
    }
}

private func call(_ invocation: some HostInvocation, _ writer: ByteWriter, _ encode: (ByteWriter) throws -> Void) throws {
    let description = try invocation.describe()
    let resolved = try description.withUnsafeBytes { try resolveInvocation($0) }
    let arguments = HeapByteWriter()
    try encode(arguments)
    writer.removeAll()
    try arguments.written.withMemoryRebound(to: UInt8.self) { bytes in
        var reader = ByteReader(UnsafeRawBufferPointer(bytes))
        try resolved.invoke(arguments: &reader, result: writer)
    }
}

private func decodeSettings(_ writer: ByteWriter) throws {
    guard let settings = WorkerSettings(WorkerConfiguration(), processors: [0], directory: "/") else { return }
    writer.removeAll()
    try encodeBinary(settings, to: writer)
    var reader = ByteReader(UnsafeRawBufferPointer(writer.written))
    let _: WorkerSettings = try decodeBinary(from: &reader)
}
