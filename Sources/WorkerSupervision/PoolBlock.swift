import SharedState
import Synchronization
import SystemLayer

/// The memory that a pool's host and workers share: a block of the arena that the host makes and frees.
///
/// ```
/// header | lines of each worker | queue of slot numbers | slots
/// ```
struct PoolBlock: @unchecked Sendable {
    // Unchecked: everything that both sides write is an atomic word, or belongs to who holds a slot's word.
    struct Header: BitwiseCopyable {
        var workers = 0
        var slots = 0
        /// How long a worker spins for work before it sleeps.
        var spinNanoseconds: UInt64 = 0
        /// It spins only while no more processes of the family than this could use a processor.
        var processors = Int.max
        /// 0: no limit.
        var tasksPerWorker = 0
        var memoryLimit: UInt64 = 0
        /// Whether workers note when they take a task, which costs them a look at the clock.
        var notesTimes = false
    }

    private static let headerBytes = 2176
    private static let workerBytes = 384
    private static let slotBytes = 256

    // Offsets in the header. Words that different sides write often are on cache lines of their own, and not on the neighbours of another's: lines are
    // fetched in pairs.
    private static let head = 128
    private static let tail = 256
    private static let lastPosition = 264
    private static let lastEntry = 272
    private static let firstSearchers = 280
    private static let leave = 384
    private static let attention = 512
    private static let supervisorAsleep = 516
    private static let deferredCall = 520
    private static let space = 640
    private static let publishersWaiting = 644
    private static let sleepers = 768
    private static let searchers = 896
    private static let finished = 1024
    private static let bunched = 2048

    let arena: Arena
    let offset: Int
    let workers: Int
    let slots: Int
    private let base: UnsafeMutableRawPointer
    private let queueBase: UnsafeMutableRawPointer
    private let slotBase: UnsafeMutableRawPointer

    static let mostWorkers = 1024
    static let leastSlots = 2048
    static let mostSlots = 8192

    /// Makes the memory for a pool. Slots are made by ``initializeSlot(_:)``, when they are first needed.
    init(header: Header, in arena: Arena) throws {
        let queueOffset = Self.headerBytes + header.workers * Self.workerBytes
        let offset = try arena.allocate(queueOffset + header.slots * (2 * 8 + Self.slotBytes))
        (arena.base + offset).initializeMemory(as: UInt8.self, repeating: 0, count: queueOffset)
        (arena.base + offset).storeBytes(of: header, as: Header.self)
        self.init(at: offset, in: arena)
        lastPosition.pointee.store(.max, ordering: .relaxed)
    }

    /// The pool that a worker is told of.
    init(at offset: Int, in arena: Arena) {
        self.arena = arena
        self.offset = offset
        base = arena.base + offset
        let header = base.load(as: Header.self)
        workers = header.workers
        slots = header.slots
        queueBase = base + Self.headerBytes + workers * Self.workerBytes
        slotBase = queueBase + 2 * slots * 8
    }

    var header: Header { base.load(as: Header.self) }

    // MARK: Words of the pool

    @inline(__always)
    private func word32(_ offset: Int) -> FutexWord { (base + offset).assumingMemoryBound(to: Atomic<UInt32>.self) }
    @inline(__always)
    private func word64(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    var head: UnsafeMutablePointer<Atomic<UInt64>> { word64(Self.head) }
    var tail: UnsafeMutablePointer<Atomic<UInt64>> { word64(Self.tail) }
    /// The entry that was published last by itself, and its position: beside the tail, whose line a worker that waits for work fetches anyway.
    var lastPosition: UnsafeMutablePointer<Atomic<UInt64>> { word64(Self.lastPosition) }
    var lastEntry: UnsafeMutablePointer<Atomic<UInt64>> { word64(Self.lastEntry) }
    /// 1 when idle workers are to end.
    var leave: FutexWord { word32(Self.leave) }
    /// What the supervisor sleeps on, and whether it does.
    var attention: FutexWord { word32(Self.attention) }
    var supervisorAsleep: FutexWord { word32(Self.supervisorAsleep) }
    /// 1 when somebody has left it to the supervisor to wake a worker.
    var deferredCall: FutexWord { word32(Self.deferredCall) }
    /// What publishers sleep on until there is too little in the queue, and whether any do.
    var space: FutexWord { word32(Self.space) }
    var publishersWaiting: FutexWord { word32(Self.publishersWaiting) }
    /// A bit for each worker that sleeps or is about to.
    func sleepers(_ i: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { word64(Self.sleepers + i * 8) }
    /// A bit for each worker that is awake and looks for work. The first word is beside the tail, which a publisher writes just before it looks here, and a worker
    /// looks at just before it writes here.
    func searchers(_ i: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { word64(i == 0 ? Self.firstSearchers : Self.searchers + i * 8) }
    /// A bit for each worker, living or dead, in whose record are tasks that it has not come to, and that others may take.
    func bunched(_ i: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { word64(Self.bunched + i * 8) }
    /// A bit for each slot whose end the supervisor wants to hear of.
    func finished(_ i: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { word64(Self.finished + i * 8) }

    @inline(__always)
    func queued(_ position: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (queueBase + Int(position & UInt64(2 * slots - 1)) * 8).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    // MARK: A worker's lines

    private func line(_ worker: Int) -> Int { Self.headerBytes + worker * Self.workerBytes }
    /// 1 when the worker has been called.
    func called(_ worker: Int) -> FutexWord { word32(line(worker)) }
    /// 0 until the worker is ready for tasks, then 1; 2 when it has decided to leave.
    func phase(_ worker: Int) -> FutexWord { word32(line(worker) + 4) }
    /// How far the worker has come in its record: a ``RecordProgress``.
    func progress(_ worker: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { word64(line(worker) + 64) }
    /// The entries of the queue that the worker has reserved.
    func record(_ worker: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { word64(line(worker) + 128) }
    static let mostReserved = 32

    // MARK: A slot
    //
    // A small task is all in the slot's first line: word, function, places and bytes of arguments and result. A place takes seven bytes, so that there is room for a
    // tag and 16 bytes of a value, which are then aligned.

    private static let function = 8
    private static let arguments = 16
    private static let smallArguments = 23
    private static let result = 40
    private static let smallResult = 47
    private static let claimedAt = 64
    private static let argumentsBytes = 72
    private static let resultBytes = 80
    private static let resultHandles = 88
    private static let mediumArguments = 96
    private static let mediumResult = 176
    static let smallBytes = 17
    static let mediumBytes = 80

    @inline(__always)
    private func slot(_ i: Int) -> UnsafeMutableRawPointer { slotBase + i * Self.slotBytes }

    /// Makes a slot that has never been used a free one.
    func initializeSlot(_ i: Int) {
        slot(i).initializeMemory(as: UInt8.self, repeating: 0, count: 64)
        word(i).initialize(to: Atomic(SlotWord(.free, use: 0).rawValue))
    }

    @inline(__always)
    func word(_ i: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { slot(i).assumingMemoryBound(to: Atomic<UInt64>.self) }
    /// Has the line of a slot's word come while something else is done: it was written last by the other side, on another processor.
    @inline(__always)
    func prefetchSlot(_ i: Int) { prefetch(slot(i)) }
    /// The half of the word that threads sleep on (the lower one, on the little-endian machines that Swift runs on).
    func futex(_ i: Int) -> FutexWord { slot(i).assumingMemoryBound(to: Atomic<UInt32>.self) }
    /// When a worker took the task, on the monotonic clock; 0 before.
    func claimedAt(_ i: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (slot(i) + Self.claimedAt).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// Where the description of a slot's function is.
    func function(_ i: Int) -> FunctionPlace { (slot(i) + Self.function).load(as: FunctionPlace.self) }
    func setFunction(_ function: FunctionPlace, _ i: Int) { (slot(i) + Self.function).storeBytes(of: function, as: FunctionPlace.self) }

    var argumentsParts: PayloadParts {
        PayloadParts(place: Self.arguments, bytes: Self.argumentsBytes, small: Self.smallArguments, medium: Self.mediumArguments)
    }
    var resultParts: PayloadParts {
        PayloadParts(place: Self.result, bytes: Self.resultBytes, small: Self.smallResult, medium: Self.mediumResult)
    }

    /// How many of the last words of the result are places of shared objects; means something only when the place says that there are any.
    func resultHandles(_ i: Int) -> UnsafeMutablePointer<UInt32> {
        (slot(i) + Self.resultHandles).assumingMemoryBound(to: UInt32.self)
    }

    /// The memory of a slot that a part of it, arguments or result, may lie in.
    @inline(__always)
    func small(_ parts: PayloadParts, _ i: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: slot(i) + parts.small, count: Self.smallBytes)
    }
    @inline(__always)
    func medium(_ parts: PayloadParts, _ i: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: slot(i) + parts.medium, count: Self.mediumBytes)
    }
    @inline(__always)
    func place(_ parts: PayloadParts, _ i: Int) -> PayloadPlace { PayloadPlace(word: (slot(i) + parts.place).load(as: UInt64.self)) }
    /// Once the bytes have been written.
    @inline(__always)
    func setPlace(_ place: PayloadPlace, _ parts: PayloadParts, _ i: Int) {
        let word = slot(i) + parts.place
        word.storeBytes(of: place.word(keeping: word.load(fromByteOffset: 7, as: UInt8.self)), as: UInt64.self)
    }
    func blockBytes(_ parts: PayloadParts, _ i: Int) -> UnsafeMutablePointer<Int> {
        (slot(i) + parts.bytes).assumingMemoryBound(to: Int.self)
    }

    /// The bytes of a slot's arguments or result, wherever they are.
    @inline(__always)
    func bytes(_ parts: PayloadParts, _ i: Int) -> UnsafeRawBufferPointer {
        let place = place(parts, i)
        if place.isInline {
            let memory = place.inlineBytes <= Self.smallBytes ? parts.small : parts.medium
            return UnsafeRawBufferPointer(start: slot(i) + memory, count: place.inlineBytes)
        }
        return UnsafeRawBufferPointer(start: arena.base + place.block, count: blockBytes(parts, i).pointee)
    }
}

/// How far a worker has come in its record: how many entries it has tried, and how many there are.
struct RecordProgress: BitwiseCopyable {
    let rawValue: UInt64

    init(rawValue: UInt64) { self.rawValue = rawValue }
    /// - Parameter untried: the places of the entries that are left.
    init(untried: Range<Int>) { rawValue = UInt64(untried.lowerBound) | UInt64(untried.upperBound) << 32 }

    var untried: Range<Int> { Int(rawValue & 0xffff_ffff)..<Int(rawValue >> 32) }
}

/// Where a description of a function lies in the arena, and its length.
struct FunctionPlace: BitwiseCopyable, Hashable {
    // Blocks of the arena begin at multiples of 64; 22 bits are left for the length, which is a few dozen.
    private let rawValue: UInt64
    private static let sizeBits: UInt64 = 22

    init(_ entry: FunctionCatalog.Entry) {
        precondition(entry.size < 1 << Self.sizeBits, "a function whose description takes megabytes")
        rawValue = UInt64(entry.offset / 64) << Self.sizeBits | UInt64(entry.size)
    }

    var offset: Int { Int(rawValue >> Self.sizeBits) * 64 }
    var bytes: Int { Int(rawValue & (1 << Self.sizeBits - 1)) }
    var entry: FunctionCatalog.Entry { FunctionCatalog.Entry(offset: offset, size: bytes) }
}

/// Offsets in a slot of what belongs to its arguments, or to its result.
struct PayloadParts: BitwiseCopyable {
    let place: Int
    let bytes: Int
    let small: Int
    let medium: Int
}

/// Where bytes are: in the slot, where this is their number, or in a block of the arena, where it is its offset.
///
/// Of its word, which is little-endian, the highest byte is not its own, but the first of the small payload.
struct PayloadPlace: BitwiseCopyable, Equatable {
    private static let handlesFlag: UInt64 = 1 << 55
    private static let bareHandleFlag: UInt64 = 1 << 54
    private static let flags = handlesFlag | bareHandleFlag
    private let rawValue: UInt64

    init(word: UInt64) { rawValue = word & (1 << 56 - 1) }
    func word(keeping byte: UInt8) -> UInt64 { rawValue | UInt64(byte) << 56 }

    init(inlineBytes: Int) { rawValue = UInt64(inlineBytes) }
    init(block: Int) { rawValue = UInt64(block) }
    private init(rawValue: UInt64) { self.rawValue = rawValue }

    // No block begins in the first page of the arena, which is the arena's own.
    var isInline: Bool { rawValue & ~Self.flags < 4096 }
    var inlineBytes: Int { Int(rawValue & ~Self.flags) }
    /// The offset of the block; 0 for none.
    var block: Int { isInline ? 0 : Int(rawValue & ~Self.flags) }
    /// Whether there are shared objects, whose places follow the bytes, unless these are just one of them.
    var hasHandles: Bool { rawValue & Self.flags != 0 }
    var isBareHandle: Bool { rawValue & Self.bareHandleFlag != 0 }
    var withBareHandle: PayloadPlace { PayloadPlace(rawValue: rawValue | Self.bareHandleFlag) }
    var withHandles: PayloadPlace { PayloadPlace(rawValue: rawValue | Self.handlesFlag) }
}
