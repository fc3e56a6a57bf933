import BinaryCoding

/// An encoded value on its way from one process to another: a few bytes here, more of them in a block of the arena, and the places of the shared objects that
/// they name, which are the last eight bytes each.
///
/// Whose the block is, and who holds the objects, is not this value's business: whoever passes it on says so.
struct Message: BitwiseCopyable, Sendable {
    /// How many bytes go without a block.
    static let inlineBytes = 48

    /// 0 when the bytes are here.
    var block = 0
    /// Bits 0–39: how many bytes there are; 40–63: how many shared objects.
    private var counts: UInt64 = 0
    private var inline = InlineArray<6, UInt64>(repeating: 0)

    private static let mostBytes = 1 << 40
    private static let mostHandles = 1 << 24

    /// - Parameter inline: the bytes, where they are in no block.
    init(bytes: Int, handles: Int, block: Int, inline: UnsafeRawPointer) throws {
        guard bytes < Self.mostBytes, handles < Self.mostHandles else {
            throw SharedMemoryError(
                """
                A value of \(bytes) bytes with \(handles) shared objects in it is too large: it can have \(Self.mostBytes) bytes, and \
                \(Self.mostHandles) objects. Send it in parts.
                """)
        }
        self.block = block
        counts = UInt64(bytes) | UInt64(handles) << 40
        if block == 0 {
            withUnsafeMutableBytes(of: &self.inline) { $0.copyMemory(from: UnsafeRawBufferPointer(start: inline, count: bytes)) }
        }
    }

    /// A value of eight bytes, such as a number, behind its tag: as its encoding is, without a writer.
    @inline(__always)
    init(word: UInt64, tag: UInt8) {
        counts = 9
        inline[0] = UInt64(tag) | word << 8
        inline[1] = word >> 56
    }

    /// The value of eight bytes that this is, if it is one with that tag.
    @inline(__always)
    func word(tag: UInt8) -> UInt64? {
        block == 0 && counts == 9 && UInt8(truncatingIfNeeded: inline[0]) == tag ? inline[0] >> 8 | inline[1] << 56 : nil
    }

    private var bytes: Int { Int(counts & 0xff_ffff_ffff) }
    var handles: Int { Int(counts >> 40) }

    /// Calls `body` with the value's bytes, without the handles behind them.
    func withReader<R>(in arena: Arena, _ body: (inout ByteReader) throws -> R) rethrows -> R {
        try withAllBytes(in: arena) { all in
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: all[..<(bytes - 8 * handles)]))
            return try body(&reader)
        }
    }

    func forEachHandle(in arena: Arena, _ body: (UInt64) -> Void) {
        if handles == 0 { return }
        withAllBytes(in: arena) { all in
            for i in 0..<handles { body(all.loadUnaligned(fromByteOffset: bytes - 8 * (handles - i), as: UInt64.self)) }
        }
    }

    private func withAllBytes<R>(in arena: Arena, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        if block != 0 { return try body(UnsafeRawBufferPointer(start: arena.base + block, count: bytes)) }
        return try withUnsafeBytes(of: inline) { try body(UnsafeRawBufferPointer(rebasing: $0[..<bytes])) }
    }

    /// Frees what a message has that is the calling process's own: its block, and the custody of its objects.
    func release(in arena: Arena) {
        forEachHandle(in: arena) { HandleRegistry.endCustody(of: $0, in: arena) }
        if block != 0 { arena.free(block) }
    }
}

/// Encodes values as messages: into memory of the caller first, then into a block of the arena.
final class MessageWriter: ByteWriter {
    private let arena: Arena
    @exclusivity(unchecked) private var block = 0

    private init(_ memory: UnsafeMutableRawBufferPointer, in arena: Arena) {
        self.arena = arena
        super.init(memory)
    }

    /// Calls `body` with `value` as a message, whose block, if it has one, is the calling process's, and with the objects it names, to be kept until the message is
    /// another's.
    /// - Parameter body: returns whether it has given the message away. If it has not, or throws, the message is freed.
    static func withMessage<T: Encodable>(
        of value: T, in arena: Arena, _ body: (_ message: Message, _ objects: [AnyObject]) throws -> Bool
    ) throws -> Bool {
        try withUnsafeTemporaryAllocation(byteCount: Message.inlineBytes, alignment: 16) { memory in
            let writer = MessageWriter(memory, in: arena)
            var isGone = false
            defer { if !isGone, writer.block != 0 { arena.free(writer.block) } }
            try encodeBinary(value, to: writer)
            let handles = writer.retained.count
            try writer.forEachHandle { try writer.append($0) }
            let message = try Message(bytes: writer.count, handles: handles, block: writer.block, inline: writer.base)
            isGone = try withExtendedLifetime(writer) { try body(message, writer.retained) }
            return isGone
        }
    }

    override func grow(minimumCapacity: Int) throws -> UnsafeMutableRawBufferPointer {
        let larger = try arena.enlarge(block, holding: written, capacity: capacity, to: minimumCapacity)
        block = larger.block
        return larger.memory
    }
}

/// A message that waits for its turn in no thread's stack.
final class PendingMessage: @unchecked Sendable {
    // Unchecked: used by one thread at a time.
    private let arena: Arena
    private let message: Message
    /// What it names.
    private let objects: [AnyObject]
    private var isGone = false

    static func make<T: Encodable>(of value: T, in arena: Arena) throws -> PendingMessage {
        var pending: PendingMessage?
        _ = try MessageWriter.withMessage(of: value, in: arena) { message, objects in
            pending = PendingMessage(message, objects, in: arena)
            return true
        }
        guard let pending else { preconditionFailure("an encoded value without a message") }
        return pending
    }

    private init(_ message: Message, _ objects: [AnyObject], in arena: Arena) {
        (self.message, self.objects, self.arena) = (message, objects, arena)
    }

    /// - Returns: nil while there is no room.
    func put(into ring: MessageRing) throws -> Bool? {
        isGone = try ring.tryPut(message)
        return isGone ? true : nil
    }

    deinit { if !isGone, message.block != 0 { arena.free(message.block) } }
}
