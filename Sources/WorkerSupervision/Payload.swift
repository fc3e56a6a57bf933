package import BinaryCoding
package import SharedState

/// Bytes that another process has sent: taken out of its slot, with a hold on every shared object they name until they are dropped.
@usableFromInline
package final class Payload: @unchecked Sendable {
    // Unchecked: nothing changes after init, and the block is this payload's own.
    private let arena: Arena
    private let block: Int
    private let count: Int
    /// Bytes that came without a block, as nearly all do: in this object itself, since memory of their own would cost more than all else here.
    private let few: Few
    /// As many as are too many for that.
    private let many: [UInt8]
    /// The places of shared objects: of the first, 0 for none, and of the others.
    private let handle: UInt64
    private let handles: [UInt64]

    private typealias Few = InlineArray<12, UInt64>

    /// Takes over `bytes` bytes, in `block` or, where that is 0, at `inline`. The last `handles` words of them are places of shared objects.
    /// - Parameter isBareHandle: the bytes are those of one shared object, and end with its place: nothing follows them.
    package init(inline: UnsafeRawPointer, bytes: Int, block: Int, handles: UInt32, isBareHandle: Bool = false, in arena: Arena) {
        self.arena = arena
        self.block = block
        if block != 0 { arena.adopt(block) }
        let start = block == 0 ? inline : UnsafeRawPointer(arena.base + block)
        let count = bytes - 8 * Int(handles)
        self.count = count
        func handle(_ i: Int) -> UInt64 { start.loadUnaligned(fromByteOffset: count + 8 * i, as: UInt64.self) }
        self.handle = isBareHandle ? start.loadUnaligned(fromByteOffset: bytes - 8, as: UInt64.self) : handles > 0 ? handle(0) : 0
        self.handles = handles > 1 ? (1..<Int(handles)).map(handle) : []
        many = block == 0 && count > MemoryLayout<Few>.size ? [UInt8](UnsafeRawBufferPointer(start: start, count: count)) : []
        var few = Few(repeating: 0)
        if block == 0, many.isEmpty {
            withUnsafeMutableBytes(of: &few) { $0.copyMemory(from: UnsafeRawBufferPointer(start: start, count: count)) }
        }
        self.few = few
        if self.handle != 0 { HandleRegistry.takeCustody(of: self.handle, in: arena) }
        for handle in self.handles { HandleRegistry.takeCustody(of: handle, in: arena) }
    }

    package func withReader<R>(_ body: (inout ByteReader) throws -> R) rethrows -> R {
        func read(_ bytes: UnsafeRawBufferPointer) throws -> R {
            var reader = ByteReader(bytes)
            return try body(&reader)
        }
        if block != 0 { return try read(UnsafeRawBufferPointer(start: arena.base + block, count: count)) }
        if !many.isEmpty { return try many.withUnsafeBytes(read) }
        return try withUnsafeBytes(of: few) { try read(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }

    deinit {
        if handle != 0 { HandleRegistry.endCustody(of: handle, in: arena) }
        for handle in handles { HandleRegistry.endCustody(of: handle, in: arena) }
        if block != 0 { arena.free(block) }
    }
}

/// As many bytes as a slot's first line holds, at most, that a worker has sent.
@usableFromInline
package struct SmallPayload: BitwiseCopyable, Sendable {
    private var bytes: (UInt64, UInt64, UInt8)
    private let count: UInt8

    /// Copies `count` bytes, 17 at most, from memory of at least 17.
    init(_ memory: UnsafeRawPointer, count: Int) {
        bytes = (
            memory.loadUnaligned(as: UInt64.self), memory.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
            memory.load(fromByteOffset: 16, as: UInt8.self)
        )
        self.count = UInt8(truncatingIfNeeded: count)
    }

    package func withReader<R>(_ body: (inout ByteReader) throws -> R) rethrows -> R {
        try withUnsafeBytes(of: bytes) { bytes in
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[..<Int(count)]))
            return try body(&reader)
        }
    }
}

/// How a task came out, before its result is decoded.
@usableFromInline
package enum Outcome: Sendable {
    /// The encoded result.
    case value(Payload)
    /// The encoded result, when it is short and names no shared object.
    case small(SmallPayload)
    /// The encoded error that its body threw, or that its result or arguments met on the way.
    case error(Payload)
    /// What the host has to say about it.
    case failure(any Error)
    /// A result made in the host itself.
    case made(any Sendable)
}
