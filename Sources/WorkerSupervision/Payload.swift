package import BinaryCoding
package import SharedState

/// Bytes that another process has sent: taken out of its slot, with a hold on every shared object they name until they are dropped.
@usableFromInline
package final class Payload: @unchecked Sendable {
    // Unchecked: nothing changes after init, and the block is this payload's own.
    private let arena: Arena
    private let small: [UInt8]
    private let block: Int
    private let blockBytes: Int
    private let handles: [UInt64]

    /// Takes over `bytes` bytes, in `block` or, where that is 0, at `inline`. The last `handles` words of them are places of shared objects.
    package init(inline: UnsafeRawPointer, bytes: Int, block: Int, handles: UInt32, in arena: Arena) {
        self.arena = arena
        self.block = block
        if block != 0 { arena.adopt(block) }
        let all = UnsafeRawBufferPointer(start: block == 0 ? inline : UnsafeRawPointer(arena.base + block), count: bytes)
        let count = bytes - 8 * Int(handles)
        self.handles = (0..<Int(handles)).map { all.loadUnaligned(fromByteOffset: count + 8 * $0, as: UInt64.self) }
        blockBytes = count
        small = block == 0 ? [UInt8](all[..<count]) : []
        for handle in self.handles { HandleRegistry.takeCustody(of: handle, in: arena) }
    }

    package func withReader<R>(_ body: (inout ByteReader) throws -> R) rethrows -> R {
        if block != 0 {
            var reader = ByteReader(UnsafeRawBufferPointer(start: arena.base + block, count: blockBytes))
            return try body(&reader)
        }
        return try small.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            return try body(&reader)
        }
    }

    deinit {
        for handle in handles { HandleRegistry.endCustody(of: handle, in: arena) }
        if block != 0 { arena.free(block) }
    }
}

/// Up to 16 bytes that a worker has sent.
@usableFromInline
package struct SmallPayload: BitwiseCopyable, Sendable {
    private var words: (UInt64, UInt64)
    private let count: Int

    /// Copies `count` bytes, 16 at most, from memory of at least 16.
    init(_ memory: UnsafeRawPointer, count: Int) {
        words = memory.loadUnaligned(as: (UInt64, UInt64).self)
        self.count = count
    }

    package func withReader<R>(_ body: (inout ByteReader) throws -> R) rethrows -> R {
        try withUnsafeBytes(of: words) { bytes in
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
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
