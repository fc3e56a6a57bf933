public import BinaryCoding
import Synchronization
import SystemLayer

/// Which lock a ``SharedLock`` is.
public enum LockKind: Sendable, Hashable {
    /// The default: the owner stands in the lock's word; it spins briefly, then sleeps, lets whoever comes first take it, and survives its owner's death.
    case adaptive
    /// glibc's process-shared mutex. When its owner dies, everybody else waits for ever: take it with a timeout.
    case pthreadNormal
    /// glibc's adaptive mutex, which spins before it sleeps. As ``pthreadNormal`` when its owner dies.
    case pthreadAdaptive
    /// glibc's robust mutex, which survives its owner's death.
    case pthreadRobust
}

/// A lock between threads of any processes of a family.
///
/// Pass it as an argument, or capture it in a `.fork` child. Not recursive: a thread that takes it twice waits for itself. A thread that ends
/// holding it counts as a dead owner.
public final class SharedLock: Codable, Sendable, SharedObject, SharedHandleDecodable {
    // The object: 8 bytes of kind and flags; at 8 the owner's token, for the pthread kinds; from 64 on the lock's word or mutex, on a line of its own.
    private static let ownerAt = 8
    private static let lockAt = 64

    private let block: ObjectBlock
    @usableFromInline let arena: Arena
    /// The lock, or nil if it is one of the C library's.
    @usableFromInline let adaptive: OwnerLock?
    /// Of the other kinds.
    private let pthread: (mutex: ProcessSharedMutex, owner: MutexOwner)?
    /// What it is called in messages; known only where it was made.
    private let name: String

    package var handle: UInt64 { UInt64(block.offset) }

    /// Makes a lock that nobody holds.
    /// - Throws: ``SharedMemoryError`` when there is no memory for it.
    public init(name: String? = nil, kind: LockKind = .adaptive) throws {
        let arena = try Arena.current()
        block = try ObjectBlock.make(.lock, elementSize: Self.code(kind), count: 1, size: Self.lockAt + ProcessSharedMutex.size, in: arena)
        self.arena = arena
        (adaptive, pthread) = Self.implementation(kind, block)
        self.name = name ?? "a SharedLock"
        if let pthread, let pthreadKind = Self.pthreadKind(kind) {
            do { try pthread.mutex.initialize(pthreadKind) } catch { throw SharedMemoryError("\(error)") }
        }
    }

    /// Takes over one hold on `block`, which another process has made.
    private init(retained block: ObjectBlock, _ kind: LockKind) {
        self.block = block
        arena = block.arena
        (adaptive, pthread) = Self.implementation(kind, block)
        name = "a SharedLock"
    }

    private static func code(_ kind: LockKind) -> Int {
        switch kind {
        case .adaptive: 0
        case .pthreadNormal: 1
        case .pthreadAdaptive: 2
        case .pthreadRobust: 3
        }
    }

    private static func kind(code: Int) -> LockKind? {
        switch code {
        case 0: .adaptive
        case 1: .pthreadNormal
        case 2: .pthreadAdaptive
        case 3: .pthreadRobust
        default: nil
        }
    }

    private static func pthreadKind(_ kind: LockKind) -> ProcessSharedMutex.Kind? {
        switch kind {
        case .adaptive: nil
        case .pthreadNormal: .normal
        case .pthreadAdaptive: .adaptive
        case .pthreadRobust: .robust
        }
    }

    private static func implementation(
        _ kind: LockKind, _ block: ObjectBlock
    ) -> (OwnerLock?, (mutex: ProcessSharedMutex, owner: MutexOwner)?) {
        let object = block.offset + ObjectBlock.payload
        if kind == .adaptive { return (OwnerLock(word: block.arena.word32(object + lockAt), offset: UInt64(object + lockAt)), nil) }
        let mutex = ProcessSharedMutex(at: block.arena.base + object + lockAt)
        return (nil, (mutex, MutexOwner(word: block.arena.word32(object + ownerAt))))
    }

    deinit { HandleRegistry.release(block) }

    // MARK: Taking and releasing

    /// Takes the lock. Blocks while another thread or process holds it.
    /// - Throws: ``OwnerDied`` when its last owner died holding it, **with the lock held**: repair what it protects, then ``unlock()``.
    @inlinable
    public func lock() throws {
        guard let adaptive else { return try lockPthread() }
        if adaptive.lock(in: arena) { throw ownerDied }
    }

    /// Takes the lock if it is free. Does not block.
    /// - Returns: whether it was taken.
    /// - Throws: ``OwnerDied``, with the lock held, as ``lock()``.
    public func tryLock() throws -> Bool {
        if let adaptive { return try told(adaptive.tryLock(in: arena)) }
        guard let pthread else { return false }
        return try told(pthread.mutex.tryLock(), pthread.owner)
    }

    /// Takes the lock, waiting at most `timeout`.
    /// - Returns: whether it was taken.
    /// - Throws: ``OwnerDied``, with the lock held, as ``lock()``.
    public func lock(timeout: Duration) throws -> Bool { try take(until: Deadline(after: timeout)) }

    /// Releases the lock.
    /// - Throws: ``SharedMemoryError`` when the calling thread does not hold it; then nothing happens.
    @inlinable
    public func unlock() throws {
        if let adaptive, adaptive.isHeldByCaller { adaptive.unlock() } else { try unlockPthread() }
    }

    /// Calls `body` under the lock.
    /// - Throws: what `body` throws; ``OwnerDied`` when the last owner died holding the lock: then `body` is not called and the lock is released,
    ///   so what it protects stays unrepaired. Use ``withLock(repair:_:)`` where an owner may die.
    @inlinable
    public func withLock<R>(_ body: () throws -> R) throws -> R {
        do {
            try lock()
        } catch let death as OwnerDied {
            try unlock()
            throw death
        }
        return try unlocking(body)
    }

    /// Calls `body` under the lock, and `repair` before it when the last owner died holding the lock.
    @inlinable
    public func withLock<R>(repair: () throws -> Void, _ body: () throws -> R) throws -> R {
        do {
            try lock()
        } catch is OwnerDied {
            do { try repair() } catch {
                try unlock()
                throw error
            }
        }
        return try unlocking(body)
    }

    @inlinable
    func unlocking<R>(_ body: () throws -> R) throws -> R {
        do {
            let result = try body()
            try unlock()
            return result
        } catch {
            if isHeldByCaller { try unlock() }
            throw error
        }
    }

    @inlinable
    var isHeldByCaller: Bool { adaptive?.isHeldByCaller ?? pthreadIsHeldByCaller }

    private func take(until deadline: Deadline) throws -> Bool {
        if let adaptive { return try told(adaptive.lock(until: deadline, in: arena)) }
        guard let pthread else { return false }
        return try told(pthread.mutex.lock(until: deadline), pthread.owner)
    }

    // MARK: The C library's kinds

    @usableFromInline
    func lockPthread() throws {
        guard let pthread else { return }
        let attempt = try pthread.mutex.lock()
        pthread.owner.word.pointee.store(ThreadRecords.currentToken(in: arena), ordering: .relaxed)
        if attempt == .takenFromDead { throw ownerDied }
    }

    @usableFromInline
    func unlockPthread() throws {
        guard let pthread, pthreadIsHeldByCaller else {
            throw SharedMemoryError(
                "\(name) was unlocked by a thread that does not hold it. Unlock it in the thread that locked it, and once.")
        }
        pthread.owner.word.pointee.store(0, ordering: .relaxed)
        try pthread.mutex.unlock()
    }

    @usableFromInline
    var pthreadIsHeldByCaller: Bool { pthread?.owner.word.pointee.load(ordering: .relaxed) == ThreadRecords.currentToken(in: arena) }

    @usableFromInline
    var ownerDied: OwnerDied { OwnerDied(lock: name) }

    private func told(_ attempt: ProcessSharedMutex.Attempt, _ owner: MutexOwner? = nil) throws -> Bool {
        if attempt == .notTaken { return false }
        owner?.word.pointee.store(ThreadRecords.currentToken(in: arena), ordering: .relaxed)
        if attempt == .takenFromDead { throw ownerDied }
        return true
    }

    // MARK: Travelling

    /// Finds the lock that another process of the family has sent. Throws a `DecodingError` elsewhere.
    public convenience init(from decoder: any Decoder) throws {
        let handle = try decodeHandle(of: Self.self, from: decoder)
        guard let (block, kind) = Self.takeBlock(at: handle, isHeld: false) else {
            throw handleError(Self.self, decoder, "There is no SharedLock at place \(handle) of the shared memory.")
        }
        self.init(retained: block, kind)
    }

    package static func find(handle: UInt64, isHeld: Bool) -> Self? {
        guard let (block, kind) = takeBlock(at: handle, isHeld: isHeld) else { return nil }
        return Self(retained: block, kind)
    }

    private static func takeBlock(at handle: UInt64, isHeld: Bool) -> (ObjectBlock, LockKind)? {
        guard let arena = try? Arena.current(), let found = ObjectBlock.find(.lock, elementSize: nil, at: handle, in: arena),
            let kind = kind(code: found.elementSize),
            let block = ObjectBlock.take(.lock, elementSize: nil, at: handle, isHeld: isHeld, in: arena)
        else { return nil }
        return (block, kind)
    }

    /// Writes the lock's place in shared memory. Throws an `EncodingError` for anything but a message to a process of the family.
    public func encode(to encoder: any Encoder) throws { try encodeHandle(to: encoder) }
}

/// Who holds a pthread mutex, which does not say so itself: written by the owner, and read only to see whether that is the calling thread.
private struct MutexOwner: @unchecked Sendable {
    // Unchecked: the word is only used atomically.
    let word: FutexWord
}
