public import BinaryCoding
import SystemLayer

/// A queue of values between any threads and processes: many may put, many may get, and there is room for so many.
///
/// ```swift
/// let jobs = try SharedQueue<Job>(capacity: 100)
/// let workers = (0..<4).map { _ in ChildProcess(work, jobs) }
/// for worker in workers { try worker.start() }
/// for job in all { try jobs.put(job) }               // blocks while 100 are waiting
/// jobs.close()                                       // each worker gets QueueClosed once there are no more
/// ```
///
/// Values come out in the order in which they went in, each to one getter. They are encoded once, by `put`, and are the queue's from then on: the process that put a
/// value may end, and those that are left when the last handle goes are freed with the queue. Shared objects (`SharedArray`, `SharedLock`, another queue) may be values or parts of them,
/// and are kept alive. (A queue that is put into itself keeps itself alive until it is got out.)
///
/// A process may be killed at any moment, in `put` and `get` too, and nobody else waits for it: a value that it was putting is in the queue, whole, or is not; of
/// values it was getting, one at most is gone with it, which nobody else has got.
///
/// A value of up to 40 bytes takes no memory beside the queue's own, which is 64 bytes for each of its places; a larger one is copied once to shared memory and
/// once from there. Pass a large array that several are to see as a `SharedArray`.
public final class SharedQueue<T: Codable & Sendable>: Codable, Sendable, SharedObject, SharedHandleDecodable {
    let ring: MessageRing
    /// Of a type whose values are a tag and eight bytes, as most numbers are: the tag. They go without a writer.
    private let wordTag: UInt8?

    package var handle: UInt64 { UInt64(ring.block.offset) }

    /// Makes an empty queue with room for `capacity` values.
    /// - Throws: ``SharedMemoryError`` when `capacity` is less than 1, or there is no memory for it.
    public convenience init(capacity: Int) throws {
        self.init(retained: try MessageRing.make(.queue, elementSize: MemoryLayout<T>.size, element: T.self, capacity: capacity))
    }

    /// Takes over one hold on the ring's object.
    private init(retained ring: MessageRing) {
        self.ring = ring
        wordTag = LeafForm.of(T.self)?.wordTag
    }

    deinit { HandleRegistry.release(ring.block) }

    /// How many values there is room for.
    public var capacity: Int { ring.capacity }

    /// How many values are in the queue, or were a moment ago: others may put and get meanwhile.
    public var count: Int { ring.count }

    /// Whether no value is in the queue, or was a moment ago.
    public var isEmpty: Bool { ring.count == 0 }

    // MARK: Putting

    /// Puts a value at the end of the queue. Blocks while there is no room.
    /// - Throws: ``QueueClosed`` when the queue is closed, also while this waits; what `encode(to:)` throws, an `EncodingError` for what has no encoded form, and
    ///   ``SharedMemoryError`` when memory has run out. The queue is as before then.
    public func put(_ value: T) throws { _ = try put(value, until: .never) }

    /// As ``put(_:)``, waiting at most `timeout`.
    /// - Returns: whether the value was put.
    public func put(_ value: T, timeout: Duration) throws -> Bool { try put(value, until: Deadline(after: timeout)) }

    /// Puts a value, if there is room now. Does not block.
    /// - Returns: whether the value was put.
    /// - Throws: as ``put(_:)``.
    public func tryPut(_ value: T) throws -> Bool {
        if let message = messageOfWord(value) { return try ring.tryPut(message) }
        if ring.count >= ring.capacity, !ring.isClosed { return false }
        return try MessageWriter.withMessage(of: value, in: ring.arena) { message, _ in try ring.tryPut(message) }
    }

    private func put(_ value: T, until deadline: Deadline) throws -> Bool {
        if let message = messageOfWord(value) { return try put(message, until: deadline) }
        if ring.isClosed { throw QueueClosed.toPutters }
        return try MessageWriter.withMessage(of: value, in: ring.arena) { message, _ in try put(message, until: deadline) }
    }

    @inline(__always)
    private func put(_ message: Message, until deadline: Deadline) throws -> Bool {
        try ring.tryPut(message) || putSlowly(message, until: deadline)
    }

    @inline(never)
    private func putSlowly(_ message: Message, until deadline: Deadline) throws -> Bool {
        try ring.putters.wait(until: deadline) { try ring.tryPut(message) ? true : nil } ?? false
    }

    @inline(__always)
    private func messageOfWord(_ value: T) -> Message? {
        guard let wordTag else { return nil }
        return Message(word: unsafeBitCast(value, to: UInt64.self), tag: wordTag)
    }

    func putAsynchronously(_ value: T, until deadline: Deadline) async throws -> Bool {
        if ring.isClosed { throw QueueClosed.toPutters }
        let message = try PendingMessage.make(of: value, in: ring.arena)
        return try await ring.putters.waitAsynchronously(until: deadline) { [self] in try message.put(into: ring) } ?? false
    }

    // MARK: Getting

    /// Takes the first value out. Blocks while there is none.
    /// - Throws: ``QueueClosed`` when the queue is closed and empty, also while this waits; what `init(from:)` throws, and a `DecodingError` for a value
    ///   that is no `T` here. Such a value is gone, and others are not concerned.
    public func get() throws -> T {
        try decode(ring.tryGet() ?? waitForMessage())
    }

    // Not in `get`, which would be told what an optional T is, though it has none: that costs as much as the rest of it.
    @inline(never)
    private func waitForMessage() throws -> Message {
        while true { if let message = try getSlowly(until: .never) { return message } }
    }

    /// As ``get()``, waiting at most `timeout`.
    /// - Returns: nil when no value came.
    public func get(timeout: Duration) throws -> T? { try get(until: Deadline(after: timeout)) }

    /// Takes the first value out, if there is one now. Does not block.
    /// - Returns: nil when there is none.
    /// - Throws: as ``get()``.
    public func tryGet() throws -> T? { try ring.tryGet().map(decode) }

    private func get(until deadline: Deadline) throws -> T? {
        guard let message = try ring.tryGet() ?? getSlowly(until: deadline) else { return nil }
        return try decode(message)
    }

    @inline(never)
    private func getSlowly(until deadline: Deadline) throws -> Message? {
        try ring.getters.wait(until: deadline) { try ring.tryGet() }
    }

    func getAsynchronously(until deadline: Deadline) async throws -> T? {
        try await ring.getters.waitAsynchronously(until: deadline) { [self] in try ring.tryGet() }.map(decode)
    }

    @inline(__always)
    private func decode(_ message: Message) throws -> T {
        if let wordTag, let word = message.word(tag: wordTag) { return unsafeBitCast(word, to: T.self) }
        return try decodeSlowly(message)
    }

    @inline(never)
    private func decodeSlowly(_ message: Message) throws -> T {
        defer { message.release(in: ring.arena) }
        return try message.withReader(in: ring.arena) { try decodeBinary(T.self, from: &$0) }
    }

    // MARK: Closing

    /// Whether ``close()`` was called, by anybody.
    public var isClosed: Bool { ring.isClosed }

    /// Lets nothing more be put, by anybody: `put` throws ``QueueClosed``, also where it waits. What is in the queue can still be got; after that `get` throws, too.
    ///
    /// Does not block. A queue that is closed already stays so.
    public func close() { ring.close() }

    // MARK: Travelling

    /// Finds the queue that another process of the family has sent. Throws a `DecodingError` elsewhere.
    public convenience init(from decoder: any Decoder) throws {
        self.init(
            retained: MessageRing(
                try ObjectBlock.decode(.queue, elementSize: MemoryLayout<T>.size, element: T.self, of: Self.self, from: decoder)))
    }

    package static func find(handle: UInt64, isHeld: Bool) -> Self? {
        ObjectBlock.retain(.queue, elementSize: MemoryLayout<T>.size, element: T.self, at: handle, isHeld: isHeld).map {
            Self(retained: MessageRing($0))
        }
    }

    /// Writes the queue's place in shared memory. Throws an `EncodingError` for anything but a message to a process of the family.
    public func encode(to encoder: any Encoder) throws { try encodeHandle(to: encoder) }
}
