public import BinaryCoding
import Synchronization
import SystemLayer

/// A lock between threads of any processes of a family that its owner may take again: it is free once it was released as often as it was taken.
///
/// Pass it as an argument, or capture it in a `.fork` child. A thread that ends holding it counts as a dead owner.
public final class SharedRecursiveLock: Codable, Sendable, SharedObject, SharedHandleDecodable {
    // The object: the lock's words; then how often its owner has taken it, which only the owner reads and writes.
    private static let depthAt = OwnerLock.size

    private let block: ObjectBlock
    let owner: OwnerLock

    package var handle: UInt64 { UInt64(block.offset) }

    /// Makes a lock that nobody holds.
    /// - Throws: ``SharedMemoryError`` when there is no memory for it.
    public convenience init() throws {
        self.init(retained: try ObjectBlock.make(.recursiveLock, elementSize: 0, count: 1, size: 64, in: try Arena.current()))
    }

    /// Takes over one hold on `block`.
    private init(retained block: ObjectBlock) {
        let offset = block.offset + ObjectBlock.payload
        self.block = block
        owner = OwnerLock(word: block.arena.word32(offset), offset: UInt64(offset))
    }

    var arena: Arena { block.arena }

    deinit { HandleRegistry.release(block, ownedBy: owner.word) }

    private var depth: UInt64 {
        get { block.payloadWord(Self.depthAt).pointee.load(ordering: .relaxed) }
        set { block.payloadWord(Self.depthAt).pointee.store(newValue, ordering: .relaxed) }
    }

    // MARK: Taking and releasing

    /// Takes the lock, once more if the calling thread holds it. Blocks while another holds it.
    /// - Throws: ``OwnerDied`` when its last owner died holding it, **with the lock held**, once: repair what it protects, then ``unlock()``.
    public func lock() throws { _ = try take { owner.lock(in: block.arena) ? .takenFromDead : .taken } }

    /// Takes the lock if it is free or the calling thread's. Does not block.
    /// - Returns: whether it was taken.
    /// - Throws: ``OwnerDied``, with the lock held, as ``lock()``.
    public func tryLock() throws -> Bool { try take { owner.tryLock(in: block.arena) } }

    /// Takes the lock, waiting at most `timeout`.
    /// - Returns: whether it was taken.
    /// - Throws: ``OwnerDied``, with the lock held, as ``lock()``.
    public func lock(timeout: Duration) throws -> Bool { try take { owner.lock(until: Deadline(after: timeout), in: block.arena) } }

    private func take(_ attempt: () -> ProcessSharedMutex.Attempt) throws -> Bool {
        if owner.isHeldByCaller {
            depth += 1
            return true
        }
        let attempt = attempt()
        if attempt == .notTaken { return false }
        // Whatever a dead owner has left there.
        depth = 1
        if attempt == .takenFromDead { throw OwnerDied(lock: "a SharedRecursiveLock") }
        return true
    }

    /// Releases the lock once.
    /// - Throws: ``SharedMemoryError`` when the calling thread does not hold it; then nothing happens.
    public func unlock() throws {
        guard owner.isHeldByCaller else {
            throw SharedMemoryError(
                "A SharedRecursiveLock was unlocked by a thread that does not hold it. Unlock it in the thread that locked it, and as often."
            )
        }
        if depth > 1 { depth -= 1 } else { owner.unlock() }
    }

    /// As ``SharedLock/refuse(_:)``.
    func refuse(_ death: OwnerDied) throws -> Never {
        try unlock()
        throw death
    }

    /// As ``SharedLock/repairing(_:)``.
    func repairing(_ repair: () throws -> Void) throws {
        do { try repair() } catch {
            if owner.isHeldByCaller {
                if depth > 1 { depth -= 1 } else { owner.unlockUnrepaired() }
            }
            throw error
        }
    }

    /// Calls `body` under the lock.
    /// - Throws: what `body` throws; ``OwnerDied`` when the last owner died holding the lock: then `body` is not called and the lock is released,
    ///   so what it protects stays unrepaired. Use ``withLock(repair:_:)`` where an owner may die.
    public func withLock<R>(_ body: () throws -> R) throws -> R {
        do { try lock() } catch let death as OwnerDied { try refuse(death) }
        return try unlocking(body)
    }

    /// Calls `body` under the lock, and `repair` before it when the last owner died holding the lock. If `repair` throws, `body` is not called, and the next to
    /// take the lock is told again.
    public func withLock<R>(repair: () throws -> Void, _ body: () throws -> R) throws -> R {
        do { try lock() } catch is OwnerDied { try repairing(repair) }
        return try unlocking(body)
    }

    func unlocking<R>(_ body: () throws -> R) throws -> R {
        let result: R
        do { result = try body() } catch {
            if owner.isHeldByCaller { try unlock() }
            throw error
        }
        try unlock()
        return result
    }

    // MARK: Travelling

    /// Finds the lock that another process of the family has sent. Throws a `DecodingError` elsewhere.
    public convenience init(from decoder: any Decoder) throws {
        self.init(retained: try ObjectBlock.decode(.recursiveLock, of: Self.self, from: decoder))
    }

    package static func find(handle: UInt64, isHeld: Bool) -> Self? {
        ObjectBlock.retain(.recursiveLock, at: handle, isHeld: isHeld).map { Self(retained: $0) }
    }

    /// Writes the lock's place in shared memory. Throws an `EncodingError` for anything but a message to a process of the family.
    public func encode(to encoder: any Encoder) throws { try encodeHandle(to: encoder) }
}
