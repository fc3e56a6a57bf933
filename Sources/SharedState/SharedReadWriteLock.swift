public import BinaryCoding
import Synchronization
import SystemLayer

/// A lock that many readers, or one writer, hold at a time: threads of any processes of a family.
///
/// Pass it as an argument, or capture it in a `.fork` child. It is fair in phases: when a writer leaves, those read who have waited for it, and then the next writer has
/// its turn before readers that have come since. So neither waits longer than for one turn of the other side.
///
/// A reader that dies lets go of the lock. When a writer dies, what the lock protects may be half changed: readers are told by ``OwnerDied`` until a writer has been, who
/// repairs it, in ``withWriteLock(repair:_:)``.
///
/// Not recursive, and a reader cannot become a writer: a thread that tries gets an error where it would have waited for itself.
public final class SharedReadWriteLock: Codable, Sendable, SharedObject, SharedHandleDecodable {
    // The object: a line with the writers' lock, at 8 the state, at 16 which lines of readers are used; at 64 the readers that wait; then the writer that waits
    // for readers to leave; and the readers.
    private static let stateAt = 8
    private static let usedLinesAt = 16
    private static let waitingReadersAt = 64
    private static let waitingWriterAt = waitingReadersAt + WaitQueue.size
    private static let placesAt = waitingWriterAt + WaitQueue.size

    /// A few short sections, and less than what the queue and its fences cost.
    private static let spinning: UInt64 = 4_000

    let block: ObjectBlock
    /// Among the writers; its word says who writes, or waits for the readers to leave.
    let writers: OwnerLock
    /// Written by who has the writers' lock.
    nonisolated(unsafe) let stateWord: ObjectWord
    let places: ReaderPlaces
    let waitingReaders: WaitQueue
    let waitingWriter: WaitQueue
    /// How long to look before entering a queue, in ns.
    let spinning: UInt64
    /// Of this process's tasks.
    let parties = ReadingParties()

    package var handle: UInt64 { UInt64(block.offset) }

    /// Makes a lock that nobody holds.
    /// - Throws: ``SharedMemoryError`` when there is no memory for it; it takes 12 KiB.
    public convenience init() throws { try self.init(spinning: Self.spinning) }

    /// Tests make one that does not spin, since to spin is a path of another length each time.
    convenience init(spinning: UInt64) throws {
        self.init(
            retained: try ObjectBlock.make(
                .readWriteLock, elementSize: 0, count: 1, size: Self.placesAt + ReaderPlaces.size, in: try Arena.current()),
            spinning: spinning)
    }

    /// Takes over one hold on `block`.
    private init(retained block: ObjectBlock, spinning: UInt64 = SharedReadWriteLock.spinning) {
        let object = block.offset + ObjectBlock.payload
        self.block = block
        self.spinning = spinning
        writers = OwnerLock(word: block.arena.word32(object), offset: UInt64(object))
        stateWord = block.payloadWord(Self.stateAt)
        waitingReaders = WaitQueue(at: object + Self.waitingReadersAt, in: block.arena)
        waitingWriter = WaitQueue(at: object + Self.waitingWriterAt, in: block.arena)
        places = ReaderPlaces(at: object + Self.placesAt, usedLines: object + Self.usedLinesAt, in: block.arena)
    }

    deinit { HandleRegistry.release(block) }

    // MARK: Reading

    /// Calls `body` while others may read, and nobody writes. Blocks while somebody writes, or waits to write and was there first.
    /// - Throws: what `body` throws; ``OwnerDied`` when the last writer has died and no writer has been told yet: then `body` is not called;
    ///   ``SharedMemoryError`` when the calling thread holds the lock and would wait for itself.
    @inlinable
    public func withReadLock<R>(_ body: () throws -> R) throws -> R {
        let place = try beginReading()
        defer { endReading(place) }
        return try body()
    }

    /// As ``withReadLock(_:)``, waiting at most `timeout`.
    /// - Returns: nil when it has not got the lock.
    public func withReadLock<R>(timeout: Duration, _ body: () throws -> R) throws -> R? {
        guard let place = try beginReading(until: Deadline(after: timeout)) else { return nil }
        defer { endReading(place) }
        return try body()
    }

    // MARK: Writing

    /// Calls `body` while nobody else reads or writes. Blocks while others do.
    /// - Throws: what `body` throws; ``OwnerDied`` when the last writer has died: then `body` is not called, and what the lock protects stays unrepaired. Use
    ///   ``withWriteLock(repair:_:)`` where a writer may die. ``SharedMemoryError`` when the calling thread holds the lock.
    @inlinable
    public func withWriteLock<R>(_ body: () throws -> R) throws -> R {
        try writing(afterDeath: try beginWriting(), body)
    }

    /// As ``withWriteLock(_:)``, waiting at most `timeout`.
    /// - Returns: nil when it has not got the lock.
    public func withWriteLock<R>(timeout: Duration, _ body: () throws -> R) throws -> R? {
        guard let isAfterDeath = try beginWriting(until: Deadline(after: timeout)) else { return nil }
        return try writing(afterDeath: isAfterDeath, body)
    }

    /// As ``withWriteLock(_:)``, and calls `repair` before `body` when the last writer has died. If `repair` throws, the next is told again.
    @inlinable
    public func withWriteLock<R>(repair: () throws -> Void, _ body: () throws -> R) throws -> R {
        try writing(afterDeath: try beginWriting(), repair: repair, body)
    }

    /// As ``withWriteLock(repair:_:)``, waiting at most `timeout`.
    /// - Returns: nil when it has not got the lock; then neither was called.
    public func withWriteLock<R>(timeout: Duration, repair: () throws -> Void, _ body: () throws -> R) throws -> R? {
        guard let isAfterDeath = try beginWriting(until: Deadline(after: timeout)) else { return nil }
        return try writing(afterDeath: isAfterDeath, repair: repair, body)
    }

    // MARK: Travelling

    /// Finds the lock that another process of the family has sent. Throws a `DecodingError` elsewhere.
    public convenience init(from decoder: any Decoder) throws {
        self.init(retained: try ObjectBlock.decode(.readWriteLock, of: Self.self, from: decoder))
    }

    package static func find(handle: UInt64, isHeld: Bool) -> Self? {
        ObjectBlock.retain(.readWriteLock, at: handle, isHeld: isHeld).map { Self(retained: $0) }
    }

    /// Writes the lock's place in shared memory. Throws an `EncodingError` for anything but a message to a process of the family.
    public func encode(to encoder: any Encoder) throws { try encodeHandle(to: encoder) }

    // MARK: After a death

    /// Settles the death of a process that held `block`, a lock of this kind, for its caller, who sees to it that it stays. It can be repeated.
    static func settleDeath(_ block: ObjectBlock) {
        // A hold of this process's own, while there is a handle.
        HandleRegistry.retain(block)
        SharedReadWriteLock(retained: block).settleDeath()
    }
}
