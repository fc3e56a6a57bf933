import Synchronization
import SystemLayer

/// The memory of one large message at a time: sealed memory that its sender uses again once the receiver has read it, and that the receiver has mapped then.
///
/// New memory costs several times as much as what is done in it: the kernel clears its pages, and puts them into two processes' tables one by one.
final class MessageMemory: @unchecked Sendable {
    // Unchecked: one thread writes it, until it is sent; from then on only the word is used, atomically.

    // The memory. 0: whether a message is in it; 8: which it is, a random number; from 64 on the message.
    private static let identityAt = 8
    static let head = 64
    private static let label = "multiprocessing-message"

    private let sealed: SealedMemory
    /// Whether its size is fixed: it has been sent, or is about to be.
    private(set) var isFixed = false
    let identity: UInt64

    var number: Int32 { sealed.number }
    private var word: UnsafeMutablePointer<Atomic<UInt64>> {
        // There is a head in all of them.
        sealed.bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// Where the message is, or has room.
    var message: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: sealed.bytes[Self.head...]) }

    /// New memory, taken.
    init(capacity: Int) throws(SystemError) {
        sealed = try SealedMemory(size: Self.head + capacity, label: Self.label)
        // It is told apart from all that a receiver has mapped already.
        identity = UInt64.random(in: 1 ... .max)
        sealed.bytes.storeBytes(of: identity, toByteOffset: Self.identityAt, as: UInt64.self)
        word.pointee.store(1, ordering: .relaxed)
    }

    /// Takes over the descriptor `number` of memory that has come with a message, and closes it once it is mapped.
    init(received number: Int32) throws(SystemError) {
        sealed = try SealedMemory(received: number)
        isFixed = true
        guard sealed.bytes.count >= Self.head else { throw SystemError(code: 0, call: "looking at memory that was received") }
        identity = sealed.bytes.load(fromByteOffset: Self.identityAt, as: UInt64.self)
        sealed.closeDescriptor()
    }

    func grow(to capacity: Int) throws(SystemError) { try sealed.resize(to: Self.head + capacity) }

    /// Fixes its size for ever, somewhat above `count`: for messages to come that are about as large.
    func fix(for count: Int) throws(SystemError) {
        if isFixed { return }
        let size = min(Self.roomy(count), sealed.bytes.count - Self.head)
        try sealed.fix(at: Self.head + size)
        if Self.head + size != sealed.bytes.count { try sealed.resize(to: Self.head + size) }
        isFixed = true
    }

    /// Rounded up by a sixteenth at most, and so that head and message fill whole pages.
    static func roomy(_ count: Int) -> Int {
        let step = max(4096, 1 << max(0, Int.bitWidth - 5 - count.leadingZeroBitCount))
        return (count + head + step - 1) / step * step - head
    }

    // MARK: Whose turn it is

    /// Takes it for a message, if there is none in it any more. Of several, forked children among them, one does.
    func take() -> Bool { word.pointee.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged }

    /// Says that nobody needs what is in it any more: its receiver, or a sender that has not sent it.
    func letGo() { word.pointee.store(0, ordering: .releasing) }
}

/// The memory that a connection keeps for its large messages, of both directions, while it is open.
final class MessageMemories: @unchecked Sendable {
    // Unchecked: guarded by `DescriptorService.lock`, which is held across forks.
    private var sent: [MessageMemory] = []
    private var received: [MessageMemory] = []
    private var isClosed = false

    /// As many as are on their way at once, about.
    private static let most = 4
    /// How much of each direction, in bytes.
    private static let mostBytes = Int(clamping: min(256 << 20, MemoryLimit.current / 16))

    /// Memory for `count` bytes that was used before, if there is some.
    func take(for count: Int) -> MessageMemory? {
        DescriptorService.lock.withLock {
            guard
                let index = sent.indices.filter({ sent[$0].message.count >= count })
                    .sorted(by: { sent[$0].message.count < sent[$1].message.count }).first(where: { sent[$0].take() })
            else { return nil }
            return sent.remove(at: index)
        }
    }

    /// Keeps memory for messages to come, in which one may be on its way.
    func keep(_ memory: MessageMemory) { add(memory, to: \.sent) }

    /// The memory that has come with a message as the descriptor `number`, which this takes over.
    func memory(received number: Int32, _ identity: UInt64) throws(SystemError) -> MessageMemory {
        let known = DescriptorService.lock.withLock { () -> MessageMemory? in
            guard let index = received.firstIndex(where: { $0.identity == identity }) else { return nil }
            // Those that are used again stay.
            let memory = received.remove(at: index)
            received.append(memory)
            return memory
        }
        if let known {
            LocalSocket.close(number)
            return known
        }
        let memory = try MessageMemory(received: number)
        if memory.identity == identity, identity != 0 { add(memory, to: \.received) }
        return memory
    }

    /// Keeps nothing any more.
    func close() {
        var dropped: [MessageMemory] = []
        DescriptorService.lock.withLock {
            isClosed = true
            dropped = sent + received
            (sent, received) = ([], [])
        }
        // Not under the lock: to unmap much takes long.
        dropped.removeAll()
    }

    private func add(_ memory: MessageMemory, to list: ReferenceWritableKeyPath<MessageMemories, [MessageMemory]>) {
        var dropped: [MessageMemory] = []
        DescriptorService.lock.withLock {
            if isClosed || memory.message.count > Self.mostBytes { return }
            self[keyPath: list].append(memory)
            while self[keyPath: list].count > Self.most || self[keyPath: list].reduce(0, { $0 + $1.message.count }) > Self.mostBytes {
                dropped.append(self[keyPath: list].removeFirst())
            }
        }
        dropped.removeAll()
    }
}
