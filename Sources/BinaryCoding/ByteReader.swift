/// Takes bytes from memory that may hold anything: every read is checked, and throws where the bytes end early.
@usableFromInline
package struct ByteReader {
    @usableFromInline package let bytes: UnsafeRawBufferPointer
    @usableFromInline var position = 0
    /// How many bytes have been taken.
    @inlinable package var offset: Int { position }

    /// The place of the shared object that the bytes are, if this process holds it on behalf of who takes it from here, else 0. Who takes it takes over the hold; as
    /// long as it is not 0, it is for the maker of the reader to end.
    @usableFromInline package var hold: UInt64

    /// - Parameter bytes: borrowed; must stay valid and unchanged while the reader is used.
    @inlinable package init(_ bytes: UnsafeRawBufferPointer, hold: UInt64 = 0) {
        self.bytes = bytes
        self.hold = hold
    }

    @inlinable package var remaining: Int { bytes.count - position }

    /// The next `n` bytes, in place.
    @inline(__always)
    package mutating func take(_ n: Int) throws(EndOfBytes) -> UnsafeRawBufferPointer {
        guard n >= 0, n <= bytes.count - offset else { throw EndOfBytes(needed: n, available: remaining) }
        defer { position += n }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + n])
    }

    /// Steps over `n` bytes, of which the caller knows that they are there.
    @inlinable @inline(__always)
    mutating func skip(_ n: Int) { position &+= n }

    /// A trivial value from its bytes in memory. Only for types of which every bit pattern is a value.
    @inline(__always)
    package mutating func read<T: BitwiseCopyable>(_ type: T.Type = T.self) throws(EndOfBytes) -> T {
        try take(MemoryLayout<T>.size).loadUnaligned(as: T.self)
    }
}

/// The bytes end before the value they should hold.
package struct EndOfBytes: Error, CustomStringConvertible {
    package let needed: Int
    package let available: Int

    package var description: String { "needs \(needed) more bytes, \(available) are left" }
}
