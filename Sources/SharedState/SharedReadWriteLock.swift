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
    // The object: the writers' lock; at 64 the state; from 128 on the readers that wait, the writer that waits for readers to leave, and the readers.
    private static let stateAt = 64
    private static let readersAt = 128
    private static let writerAt = readersAt + WaitQueue.size
    private static let placesAt = writerAt + WaitQueue.size

    private let block: ObjectBlock
    private let writers: OwnerLock
    private let waitingReaders: WaitQueue
    private let waitingWriter: WaitQueue
    private let places: ReaderPlaces

    package var handle: UInt64 { UInt64(block.offset) }

    /// Makes a lock that nobody holds.
    /// - Throws: ``SharedMemoryError`` when there is no memory for it; it takes 12 KiB.
    public convenience init() throws {
        self.init(
            retained: try ObjectBlock.make(
                .readWriteLock, elementSize: 0, count: 1, size: Self.placesAt + ReaderPlaces.size, in: try Arena.current()))
    }

    /// Takes over one hold on `block`.
    private init(retained block: ObjectBlock) {
        let object = block.offset + ObjectBlock.payload
        self.block = block
        writers = OwnerLock(word: block.arena.word32(object), offset: UInt64(object))
        waitingReaders = WaitQueue(at: object + Self.readersAt, in: block.arena)
        waitingWriter = WaitQueue(at: object + Self.writerAt, in: block.arena)
        places = ReaderPlaces(offset: object + Self.placesAt, arena: block.arena)
    }

    deinit { HandleRegistry.release(block) }

    private var state: ReadWriteState {
        ReadWriteState(rawValue: block.payloadWord(Self.stateAt).pointee.load(ordering: .sequentiallyConsistent))
    }

    private func move(_ current: ReadWriteState, to new: ReadWriteState) -> Bool {
        block.payloadWord(Self.stateAt).pointee.compareExchange(
            expected: current.rawValue, desired: new.rawValue, ordering: .sequentiallyConsistent
        ).exchanged
    }

    // MARK: Reading

    /// Calls `body` while others may read, and nobody writes. Blocks while somebody writes, or waits to write and was there first.
    /// - Throws: what `body` throws; ``OwnerDied`` when the last writer has died and no writer has been told yet: then `body` is not called;
    ///   ``SharedMemoryError`` when the calling thread holds the lock and would wait for itself.
    public func withReadLock<R>(_ body: () throws -> R) throws -> R {
        guard let place = try beginReading(until: .never) else { throw unreachable }
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

    /// - Returns: the reader's place; nil at the deadline.
    private func beginReading(until deadline: Deadline, _ cancellation: WaitCancellation? = nil) throws -> Int? {
        let token = ThreadRecords.currentToken(in: block.arena)
        // The place, then the state; a writer, the state, then the places: one of the two sees the other.
        let place = try takePlace(token, until: deadline, cancellation)
        guard let place else { return nil }
        if state.writer != 0 {
            do {
                guard try waitToRead(place, token, until: deadline, cancellation) else {
                    endReading(place)
                    return nil
                }
            } catch {
                endReading(place)
                throw error
            }
        }
        if state.writerDied {
            endReading(place)
            throw ownerDied
        }
        return place
    }

    private func waitToRead(_ place: Int, _ token: UInt32, until deadline: Deadline, _ cancellation: WaitCancellation?) throws -> Bool {
        let first = state
        if first.writer == token || places.contain(token, except: place) { throw recursive }
        letWriterPass(place, ReaderPlace(token, waitingSince: first.phase))
        let isReading: Void? = try waitingReaders.wait(until: deadline, cancellation: cancellation) { () -> Void? in
            let current = state
            // A writer of a later phase sees this reader's place and waits for it.
            if current.writer != 0, current.phase == first.phase { return nil }
            places.store(place, ReaderPlace(token))
            let now = state
            if now.writer == 0 || now.phase != first.phase { return () }
            // A writer gave up, and another came.
            letWriterPass(place, ReaderPlace(token, waitingSince: first.phase))
            return nil
        }
        return isReading != nil
    }

    private func letWriterPass(_ place: Int, _ waiting: ReaderPlace) {
        waitingWriter.whileChanging {
            places.store(place, waiting)
            waitingWriter.notify()
        }
    }

    private func takePlace(_ token: UInt32, until deadline: Deadline, _ cancellation: WaitCancellation?) throws -> Int? {
        if let place = places.take(token) { return place }
        // More read at once than there are places. Who leaves does not look for such, so they look by themselves.
        return try waitingReaders.poll(until: deadline, cancellation) { places.take(token) }
    }

    private func endReading(_ place: Int) {
        places.store(place, .free)
        if state.writer != 0 { waitingWriter.whileChanging { waitingWriter.notify() } }
    }

    // MARK: Writing

    /// Calls `body` while nobody else reads or writes. Blocks while others do.
    /// - Throws: what `body` throws; ``OwnerDied`` when the last writer has died: then `body` is not called, and what the lock protects stays unrepaired. Use
    ///   ``withWriteLock(repair:_:)`` where a writer may die. ``SharedMemoryError`` when the calling thread holds the lock.
    public func withWriteLock<R>(_ body: () throws -> R) throws -> R {
        guard try beginWriting(until: .never) else { throw unreachable }
        return try writing(body)
    }

    /// As ``withWriteLock(_:)``, waiting at most `timeout`.
    /// - Returns: nil when it has not got the lock.
    public func withWriteLock<R>(timeout: Duration, _ body: () throws -> R) throws -> R? {
        guard try beginWriting(until: Deadline(after: timeout)) else { return nil }
        return try writing(body)
    }

    /// As ``withWriteLock(_:)``, and calls `repair` before `body` when the last writer has died. If `repair` throws, the next is told again.
    public func withWriteLock<R>(repair: () throws -> Void, _ body: () throws -> R) throws -> R {
        guard try beginWriting(until: .never) else { throw unreachable }
        return try writing(repair: repair, body)
    }

    private func writing<R>(_ body: () throws -> R) throws -> R {
        defer { endWriting(writerDied: false) }
        if state.writerDied { throw ownerDied }
        return try body()
    }

    private func writing<R>(repair: () throws -> Void, _ body: () throws -> R) throws -> R {
        if state.writerDied {
            do { try repair() } catch {
                endWriting(writerDied: true)
                throw error
            }
        }
        defer { endWriting(writerDied: false) }
        return try body()
    }

    private func beginWriting(until deadline: Deadline, _ cancellation: WaitCancellation? = nil) throws -> Bool {
        if writers.isHeldByCaller { throw recursive }
        guard try takeWriters(until: deadline, cancellation) else { return false }
        let token = ThreadRecords.currentToken(in: block.arena)
        var current = state
        while !move(current, to: current.taken(by: token)) { current = state }
        let phase = current.taken(by: token).phase
        do {
            if places.contain(token) { throw recursive }
            let isAlone: Void? = try waitingWriter.wait(until: deadline, cancellation: cancellation) {
                places.precede(writerOf: phase) ? nil : ()
            }
            if isAlone != nil { return true }
        } catch {
            giveUpWriting(phase)
            throw error
        }
        giveUpWriting(phase)
        return false
    }

    private func takeWriters(until deadline: Deadline, _ cancellation: WaitCancellation?) throws -> Bool {
        guard let cancellation else { return writers.lock(until: deadline, in: block.arena) != .notTaken }
        while true {
            // Now and then, to see whether it is cancelled.
            let part = min(deadline, Deadline(after: .milliseconds(20)))
            if writers.lock(until: part, in: block.arena) != .notTaken { return true }
            if cancellation.isCancelled { throw CancellationError() }
            if deadline.hasPassed { return false }
        }
    }

    /// Lets go before this writer has had its turn: the phase stays.
    private func giveUpWriting(_ phase: UInt32) { leaveToReaders(phase: phase, writerDied: state.writerDied) }

    private func endWriting(writerDied: Bool) { leaveToReaders(phase: state.phase &+ 1, writerDied: writerDied) }

    private func leaveToReaders(phase: UInt32, writerDied: Bool) {
        waitingReaders.whileChanging {
            // While it has a living writer, nobody else changes the state.
            block.payloadWord(Self.stateAt).pointee.store(
                ReadWriteState(phase: phase, writerDied: writerDied).rawValue, ordering: .sequentiallyConsistent)
            waitingReaders.notifyAll()
        }
        writers.unlock()
    }

    // MARK: Errors

    private var ownerDied: OwnerDied { OwnerDied(lock: "a SharedReadWriteLock") }

    private var recursive: SharedMemoryError {
        SharedMemoryError(
            """
            A thread that holds a SharedReadWriteLock would wait for itself: it is not recursive, and a reader cannot become a writer. Do both under one \
            withWriteLock, or let go first.
            """)
    }

    private var unreachable: SharedMemoryError { SharedMemoryError("A wait without a deadline came to it.") }

    // MARK: After a death

    /// Settles the death of a process that held `block`, a lock of this kind, for its caller, who sees to it that it stays. It can be repeated.
    static func settleDeath(_ block: ObjectBlock) {
        // A hold of this process's own, while there is a handle.
        HandleRegistry.retain(block)
        SharedReadWriteLock(retained: block).settleDeath()
    }

    private func settleDeath() {
        places.freeThoseOfTheDead()
        while true {
            let current = state
            if current.writer == 0 || ThreadRecords.isLive(current.writer, in: block.arena) { break }
            // The next writer may do the same at this moment, and is told as well.
            if move(current, to: ReadWriteState(phase: current.phase &+ 1, writerDied: true)) { break }
        }
        waitingReaders.whileChanging { waitingReaders.notifyAll() }
        waitingWriter.whileChanging { waitingWriter.notifyAll() }
    }

    // MARK: Asynchronously

    /// The calls that wait, for asynchronous functions.
    public var async: Async { Async(lock: self) }

    /// Waits for a lock without blocking a thread of the concurrency pool. What is done under the lock is called on a thread that the library keeps for such
    /// waits: who holds a lock is a thread, and an asynchronous function may go on in another after each `await`. When the task is cancelled before it has
    /// the lock, it throws a `CancellationError`.
    public struct Async: Sendable {
        fileprivate let lock: SharedReadWriteLock

        /// As ``SharedReadWriteLock/withReadLock(_:)``.
        public func withReadLock<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
            try await AsyncWait.run { [lock] cancellation in
                guard let place = try lock.beginReading(until: .never, cancellation) else { throw lock.unreachable }
                defer { lock.endReading(place) }
                return try body()
            }
        }

        /// As ``SharedReadWriteLock/withWriteLock(_:)``.
        public func withWriteLock<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
            try await AsyncWait.run { [lock] cancellation in
                guard try lock.beginWriting(until: .never, cancellation) else { throw lock.unreachable }
                return try lock.writing(body)
            }
        }

        /// As ``SharedReadWriteLock/withWriteLock(repair:_:)``.
        public func withWriteLock<R: Sendable>(
            repair: @escaping @Sendable () throws -> Void, _ body: @escaping @Sendable () throws -> R
        ) async throws -> R {
            try await AsyncWait.run { [lock] cancellation in
                guard try lock.beginWriting(until: .never, cancellation) else { throw lock.unreachable }
                return try lock.writing(repair: repair, body)
            }
        }
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
}
