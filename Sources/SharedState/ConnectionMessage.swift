import BinaryCoding
import SystemLayer

/// The first bytes of each message on a connection.
struct MessageHead: BitwiseCopyable {
    static let size = 24
    static let magicValue: UInt32 = 0x4d50_6d73
    /// The value's bytes are not in the message but in sealed memory, whose descriptor comes first.
    static let isSealed: UInt32 = 1
    /// One descriptor is there only to be closed, once the receiver has decoded: its other end tells who keeps shared objects alive until then.
    static let hasHold: UInt32 = 2

    var magic = magicValue
    var flags: UInt32 = 0
    var length: UInt64 = 0
    /// Of the memory that the value is in: its ``MessageMemory/identity``.
    var memory: UInt64 = 0

    /// The most bytes of a value that go with the message itself. A socket's buffer takes about three of these.
    static let mostInline = 64 << 10
    /// What a message weighs whose value is elsewhere: without it, hundreds of large values could be on their way at once, and memory be full of them.
    static let sealedPadding = 48 << 10
    /// What a message weighs that carries descriptors: the kernel counts those of a user that are on their way, and allows as many as one process may have open.
    static let descriptorPadding = 8 << 10
}

/// A message that is being written: on the heap, or, once it is large, in sealed memory. The kernel frees what is on its way with the last who has it or could
/// receive it, so nothing of a message is left behind by anybody's death.
final class ConnectionWriter: ByteWriter, @unchecked Sendable {
    // Unchecked: one thread writes; then nothing changes.
    private var memory: MessageMemory?
    private let memories: MessageMemories
    private var isLight = false
    private var isSent = false
    /// In use until the message is sent, or given up.
    private(set) var attached: [GuardedDescriptor] = []

    init(_ memories: MessageMemories) {
        self.memories = memories
        super.init(.allocate(byteCount: 512, alignment: 16))
    }

    deinit {
        if let memory {
            if !isSent { giveBack(memory) }
        } else {
            base.deallocate()
        }
        for descriptor in attached { descriptor.leave() }
    }

    override func grow(minimumCapacity: Int) throws -> UnsafeMutableRawBufferPointer {
        if minimumCapacity <= MessageHead.mostInline {
            let larger = UnsafeMutableRawBufferPointer.allocate(
                byteCount: min(MessageHead.mostInline, max(minimumCapacity, 4 * capacity)), alignment: 16)
            larger.copyMemory(from: written)
            base.deallocate()
            return larger
        }
        guard minimumCapacity <= Self.mostMemory else {
            throw SharedMemoryError(
                "A message needs \(minimumCapacity >> 10) KiB and more, and the limit on memory allows \(Self.mostMemory >> 10) KiB. Send less at a time."
            )
        }
        // Twice as much is for speed: near the limit, what is needed will do.
        let capacity = MessageMemory.roomy(max(minimumCapacity, min(2 * capacity, Self.mostMemory)))
        if let memory, !memory.isFixed {
            do { try memory.grow(to: capacity) } catch { try memory.grow(to: minimumCapacity) }
            return memory.message
        }
        let larger =
            try memories.take(for: minimumCapacity) ?? (try? MessageMemory(capacity: capacity)) ?? MessageMemory(capacity: minimumCapacity)
        move(to: larger)
        return larger.message
    }

    /// Has what was written in other memory.
    private func move(to larger: MessageMemory) {
        larger.message.copyMemory(from: written)
        if let memory { giveBack(memory) } else { base.deallocate() }
        memory = larger
    }

    /// Of memory that nobody was sent.
    private func giveBack(_ memory: MessageMemory) {
        memory.letGo()
        // What has never been sent may be of any size.
        if memory.isFixed { memories.keep(memory) }
    }

    /// Of a cgroup or the machine: asked for more, the kernel would kill instead of refusing.
    private static let mostMemory = Int(clamping: MemoryLimit.current)

    /// Has a copy of `descriptor` go with the message. Returns its number in there.
    func attach(_ descriptor: GuardedDescriptor) throws -> Int {
        guard attached.count < LocalSocket.mostDescriptors - 2 else {
            throw SharedMemoryError("A message carries \(LocalSocket.mostDescriptors - 2) descriptors at most. Send more messages.")
        }
        guard descriptor.enter() else { throw ConnectionError.closed }
        attached.append(descriptor)
        return attached.count - 1
    }

    /// Sends what was written. Does not block.
    /// - Parameter hold: goes along, for the receiver to close.
    func send(to socket: Int32, hold: Int32?) throws -> LocalSocket.Transfer {
        var head = MessageHead(length: UInt64(count))
        var descriptors: [Int32] = []
        if let memory {
            head.flags |= MessageHead.isSealed
            head.memory = memory.identity
            descriptors.append(memory.number)
        }
        if let hold {
            head.flags |= MessageHead.hasHold
            descriptors.append(hold)
        }
        descriptors += attached.map(\.number)
        let padding = isLight ? 0 : memory != nil ? MessageHead.sealedPadding : descriptors.isEmpty ? 0 : MessageHead.descriptorPadding
        return try withUnsafeBytes(of: head) { head in
            try LocalSocket.send(
                socket, head: head, body: memory == nil ? written : UnsafeRawBufferPointer(start: nil, count: 0),
                padding: padding, descriptors: descriptors)
        }
    }

    /// To be called once, when all is written.
    func finish() throws { try memory?.fix(for: count) }

    /// To be called once it is sent: the memory is the receiver's until that has read it.
    func noteSent() {
        isSent = true
        if let memory { memories.keep(memory) }
    }

    /// Makes it as short as can be: for a socket that has less room than sockets should.
    func shorten() throws {
        isLight = true
        guard memory == nil else { return }
        move(to: try memories.take(for: count) ?? MessageMemory(capacity: MessageMemory.roomy(count)))
        try finish()
    }
}

/// Takes messages off a socket.
enum MessageReader {
    enum Received<Value> {
        case value(Value)
        case nothingYet
    }

    /// Takes the next message, if there is one, and decodes it: whatever comes of that, the message is gone, and the next one can be received.
    static func receive<T: Decodable>(_ type: T.Type, from socket: Int32, _ memories: MessageMemories) throws -> Received<T> {
        try withUnsafeTemporaryAllocation(byteCount: MessageHead.size + MessageHead.mostInline, alignment: 16) { room in
            var numbers: [Int32] = []
            switch try LocalSocket.receive(socket, into: room, descriptors: &numbers) {
            case .wouldBlock: return .nothingYet
            case .noReceiver, .done(0): throw ConnectionError.endOfStream
            case .done(let count):
                return .value(try decode(type, UnsafeRawBufferPointer(rebasing: room[..<count]), numbers, memories))
            }
        }
    }

    private static func decode<T: Decodable>(
        _ type: T.Type, _ message: UnsafeRawBufferPointer, _ numbers: [Int32], _ memories: MessageMemories
    ) throws -> T {
        // Closed at the end of this, but for those that the value has taken over. The hold's too: until then its objects are kept by others.
        var owned = numbers[...]
        var bytes = UnsafeRawBufferPointer(rebasing: message.dropFirst(MessageHead.size))
        var memory: MessageMemory?
        var hold: Int32 = -1
        var problem: String?
        if message.count >= MessageHead.size {
            let head = message.load(as: MessageHead.self)
            if head.magic != MessageHead.magicValue { problem = "it is none of this library's" }
            if problem == nil, head.flags & MessageHead.isSealed != 0 {
                if let number = owned.popFirst() {
                    do {
                        let received = try memories.memory(received: number, head.memory)
                        memory = received
                        bytes = UnsafeRawBufferPointer(received.message)
                    } catch { problem = "\(error)" }
                } else {
                    problem = "its memory did not come with it"
                }
            }
            if problem == nil, head.flags & MessageHead.hasHold != 0 {
                if let number = owned.popFirst() {
                    hold = number
                    MessageHold.received(number)
                } else {
                    problem = "a descriptor is missing"
                }
            }
            // Behind a value that is in the message itself there may be what only gives it weight; behind one in memory, what is left of that.
            if problem == nil, head.length > bytes.count {
                problem = "it has \(bytes.count) bytes of \(head.length)"
            }
            if problem == nil { bytes = UnsafeRawBufferPointer(rebasing: bytes.prefix(Int(head.length))) }
        } else {
            problem = "it is too short"
        }
        var descriptors = owned.isEmpty ? nil : MessageDescriptors(owning: owned, besides: bytes)
        defer {
            // Before the next message can come in the same place, by which they are known.
            withExtendedLifetime(descriptors) {}
            descriptors = nil
            if hold >= 0 { MessageHold.close(hold) }
            memory?.letGo()
        }
        if let problem {
            throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "A message could not be read: \(problem)."))
        }
        var reader = ByteReader(bytes)
        return try decodeBinary(type, from: &reader)
    }
}
