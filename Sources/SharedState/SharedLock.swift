public import BinaryCoding
import Glibc
import Synchronization
import SystemLayer

/// Which lock a ``SharedLock`` is.
public enum LockKind: String, Sendable, Hashable, Codable, CaseIterable {
    /// The default: the owner stands in the lock's word; it spins briefly, then sleeps, lets whoever comes first take it, and survives its owner's death.
    case adaptive
    /// glibc's process-shared mutex. When its owner dies, everybody else waits for ever: take it with a timeout.
    case pthreadNormal
    /// glibc's adaptive mutex, which spins before it sleeps. As ``pthreadNormal`` when its owner dies.
    case pthreadAdaptive
    /// glibc's robust mutex, which survives its owner's death.
    case pthreadRobust

    /// What stands for it in shared memory.
    var code: Int {
        switch self {
        case .adaptive: 0
        case .pthreadNormal: 1
        case .pthreadAdaptive: 2
        case .pthreadRobust: 3
        }
    }

    /// For those of the C library.
    var pthreadKind: ProcessSharedMutex.Kind? {
        switch self {
        case .adaptive: nil
        case .pthreadNormal: .normal
        case .pthreadAdaptive: .adaptive
        case .pthreadRobust: .robust
        }
    }
}

/// A lock between threads of any processes of a family.
///
/// Pass it as an argument, or capture it in a `.fork` child. Not recursive: a thread that holds it and would wait for it is told by an error; a
/// ``SharedRecursiveLock`` may be taken again. A thread that ends holding it counts as a dead owner.
///
/// One that is made with `profiling: true` counts and times what is done with it, by whichever process: see ``profile``. Callers leave out `fileID` and
/// `line`, which say in a profile where the lock was taken.
public final class SharedLock: Codable, Sendable, SharedObject, SharedHandleDecodable {
    let block: ObjectBlock
    let kind: LockKind
    @usableFromInline let arena: Arena
    /// The lock, or nil if it is one of the C library's.
    @usableFromInline let adaptive: OwnerLock?
    /// Of the other kinds.
    let pthread: (mutex: ProcessSharedMutex, owner: MutexOwner)?
    /// Writes the lock's profile, if it has one.
    @usableFromInline let recorder: LockRecorder?
    /// Whether it has. Asked at every turn: to compare a byte and not to jump is what a lock without a profile can afford.
    @usableFromInline let isProfiled: Bool
    @usableFromInline let sites: CallSiteCache?

    package var handle: UInt64 { UInt64(block.offset) }

    /// Makes a lock that nobody holds.
    /// - Parameters:
    ///   - name: What it is called in messages and profiles, in all processes; cut off behind 120 bytes of UTF-8.
    ///   - kind: Which lock it is.
    ///   - profiling: Whether it keeps a ``profile``, which takes 32 KiB of shared memory, and at most a tenth of a contended lock's throughput.
    /// - Throws: ``SharedMemoryError`` when there is no memory for it.
    public init(
        name: String? = nil, kind: LockKind = .adaptive, profiling: Bool = false, fileID: StaticString = #fileID, line: UInt = #line
    ) throws {
        let arena = try Arena.current()
        let text = Array((name ?? "").utf8.prefix(LockLayout.longestName))
        let nameAt = LockLayout.name(isProfiled: profiling)
        block = try ObjectBlock.make(
            .lock, elementSize: LockLayout.code(kind, isProfiled: profiling), count: 1, size: nameAt + text.count, in: arena)
        self.arena = arena
        self.kind = kind
        (adaptive, pthread) = Self.implementation(kind, block)
        (recorder, sites) = Self.profile(isProfiled: profiling, kind, block)
        isProfiled = profiling
        let object = arena.base + block.offset + ObjectBlock.payload
        (object + nameAt).copyMemory(from: text, byteCount: text.count)
        object.storeBytes(of: UInt32(text.count), toByteOffset: LockLayout.nameLength, as: UInt32.self)
        recorder?.begin(at: CallSite(fileID, line))
        if let pthread, let pthreadKind = kind.pthreadKind {
            do { try pthread.mutex.initialize(pthreadKind) } catch { throw SharedMemoryError("\(error)") }
        }
    }

    /// Takes over one hold on `block`, which another process has made.
    private init(retained block: ObjectBlock, _ kind: LockKind, isProfiled: Bool) {
        self.block = block
        self.kind = kind
        arena = block.arena
        (adaptive, pthread) = Self.implementation(kind, block)
        (recorder, sites) = Self.profile(isProfiled: isProfiled, kind, block)
        self.isProfiled = isProfiled
    }

    private static func implementation(
        _ kind: LockKind, _ block: ObjectBlock
    ) -> (OwnerLock?, (mutex: ProcessSharedMutex, owner: MutexOwner)?) {
        let object = block.offset + ObjectBlock.payload
        let lock = object + LockLayout.lock
        if kind == .adaptive { return (OwnerLock(word: block.arena.word32(lock), offset: UInt64(lock)), nil) }
        let mutex = ProcessSharedMutex(at: block.arena.base + lock)
        return (nil, (mutex, MutexOwner(word: block.arena.word32(object + LockLayout.owner))))
    }

    private static func profile(isProfiled: Bool, _ kind: LockKind, _ block: ObjectBlock) -> (LockRecorder?, CallSiteCache?) {
        guard isProfiled else { return (nil, nil) }
        let object = block.arena.base + block.offset + ObjectBlock.payload
        let base = object + LockLayout.rest
        let owner = kind == .adaptive ? object + LockLayout.lock + OwnerLock.size : base + LockLayout.ownerLine
        return (LockRecorder(base: base, owner: owner), CallSiteCache())
    }

    deinit {
        sites?.deallocate()
        if let word = adaptive?.word ?? pthread?.owner.word { HandleRegistry.release(block, ownedBy: word) }
    }

    /// What it is called; "a SharedLock" when it was given no name.
    public var name: String {
        let object = block.offset + ObjectBlock.payload
        let length = min(Int(arena.word32(object + LockLayout.nameLength).pointee.load(ordering: .relaxed)), LockLayout.longestName)
        if length == 0 { return "a SharedLock" }
        let start = arena.base + object + LockLayout.name(isProfiled: recorder != nil)
        return String(decoding: UnsafeRawBufferPointer(start: start, count: length), as: UTF8.self)
    }

    // MARK: Taking and releasing

    /// Takes the lock. Blocks while another thread or process holds it.
    /// - Throws: ``OwnerDied`` when its last owner died holding it, **with the lock held**: repair what it protects, then ``unlock()``.
    ///   ``SharedMemoryError`` when the calling thread holds the lock already, and would wait for itself.
    @inlinable @inline(__always)
    public func lock(fileID: StaticString = #fileID, line: UInt = #line) throws {
        guard let adaptive else { return try lockPthread(CallSite(fileID, line)) }
        let token = ThreadRecords.currentToken(in: arena)
        guard adaptive.enterAndTake(token) else { return try lockSlowly(token, CallSite(fileID, line)) }
        if _slowPath(isProfiled), LockRecorder(beside: adaptive).count(token) { note(token, CallSite(fileID, line)) }
    }

    /// Takes the lock if it is free. Does not block.
    /// - Returns: whether it was taken.
    /// - Throws: ``OwnerDied``, with the lock held, as ``lock(fileID:line:)``.
    public func tryLock(fileID: StaticString = #fileID, line: UInt = #line) throws -> Bool {
        try tryLock(CallSite(fileID, line), waitingSince: nil)
    }

    /// Takes the lock, waiting at most `timeout`.
    /// - Returns: whether it was taken.
    /// - Throws: as ``lock(fileID:line:)``.
    public func lock(timeout: Duration, fileID: StaticString = #fileID, line: UInt = #line) throws -> Bool {
        let (deadline, site) = (Deadline(after: timeout), CallSite(fileID, line))
        guard let adaptive else { return try lockPthread(until: deadline, site) }
        let token = ThreadRecords.currentToken(in: arena)
        return adaptive.enterAndTake(token) ? try told(.taken, site) : try wait(token, until: deadline, site)
    }

    /// Releases the lock.
    /// - Throws: ``SharedMemoryError`` when the calling thread does not hold it; then nothing happens.
    @inlinable @inline(__always)
    public func unlock() throws {
        guard let adaptive, adaptive.isHeldByCaller else { return try unlockPthread() }
        if _slowPath(LockRecorder(beside: adaptive).isTiming) { noteHold() }
        adaptive.unlock(profile: isProfiled ? LockRecorder(beside: adaptive) : nil)
    }

    /// Calls `body` under the lock.
    /// - Throws: what `body` throws; ``OwnerDied`` when the last owner died holding the lock: then `body` is not called and the lock is released,
    ///   so what it protects stays unrepaired. Use ``withLock(repair:_:fileID:line:)`` where an owner may die.
    @inlinable
    public func withLock<R>(_ body: () throws -> R, fileID: StaticString = #fileID, line: UInt = #line) throws -> R {
        do {
            try lock(fileID: fileID, line: line)
        } catch let death as OwnerDied {
            try refuse(death)
        }
        return try unlocking(body)
    }

    /// Calls `body` under the lock, and `repair` before it when the last owner died holding the lock. If `repair` throws, `body` is not called, and the next to
    /// take the lock is told again.
    @inlinable
    public func withLock<R>(
        repair: () throws -> Void, _ body: () throws -> R, fileID: StaticString = #fileID, line: UInt = #line
    ) throws -> R {
        do {
            try lock(fileID: fileID, line: line)
        } catch is OwnerDied {
            try repairing(repair)
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

    // MARK: Travelling

    /// Finds the lock that another process of the family has sent. Throws a `DecodingError` elsewhere.
    public convenience init(from decoder: any Decoder) throws {
        let handle = try decodeHandle(of: Self.self, from: decoder)
        guard let (block, kind, isProfiled) = Self.takeBlock(at: handle, isHeld: false) else {
            throw missingObject(Self.self, at: handle, decoder)
        }
        self.init(retained: block, kind, isProfiled: isProfiled)
    }

    package static func find(handle: UInt64, isHeld: Bool) -> Self? {
        guard let (block, kind, isProfiled) = takeBlock(at: handle, isHeld: isHeld) else { return nil }
        return Self(retained: block, kind, isProfiled: isProfiled)
    }

    private static func takeBlock(at handle: UInt64, isHeld: Bool) -> (ObjectBlock, LockKind, isProfiled: Bool)? {
        guard let arena = try? Arena.current(), let found = ObjectBlock.find(.lock, elementSize: nil, at: handle, in: arena),
            let (kind, isProfiled) = LockLayout.kind(code: found.elementSize),
            let block = ObjectBlock.take(.lock, elementSize: nil, at: handle, isHeld: isHeld, in: arena)
        else { return nil }
        return (block, kind, isProfiled)
    }

    /// Writes the lock's place in shared memory. Throws an `EncodingError` for anything but a message to a process of the family.
    public func encode(to encoder: any Encoder) throws { try encodeHandle(to: encoder) }
}
