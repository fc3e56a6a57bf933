import SharedState
import Synchronization
import SystemLayer

/// The memory that a pool's host and workers share: a block of the arena that the host makes and frees.
///
/// ```
/// header | a line for each worker | queue of slot numbers | slots
/// ```
struct PoolBlock: @unchecked Sendable {
    // Unchecked: everything that both sides write is an atomic word, or belongs to who holds a slot's word.
    struct Header: BitwiseCopyable {
        var workers = 0
        var slots = 0
        /// How long a worker spins for work before it sleeps.
        var spinNanoseconds: UInt64 = 0
        /// 0: no limit.
        var tasksPerWorker = 0
        var memoryLimit: UInt64 = 0
    }

    /// A slot's contents beside its word; the small arguments and the small result follow.
    struct SlotFields: BitwiseCopyable {
        /// The function's description.
        var function = 0
        var functionBytes = 0
        var argumentsBytes = 0
        var argumentsBlock = 0
        var resultBytes = 0
        var resultBlock = 0
        var resultHandles: UInt32 = 0
    }

    static let inlineBytes = 96
    private static let headerBytes = 2048
    private static let workerBytes = 64
    private static let slotBytes = 320

    // Offsets in the header. Words that different sides write often are on cache lines of their own.
    private static let head = 128
    private static let tail = 256
    private static let leave = 384
    private static let attention = 512
    private static let supervisorAsleep = 516
    private static let space = 640
    private static let publishersWaiting = 644
    private static let sleepers = 768
    private static let finished = 1024

    let arena: Arena
    let offset: Int
    let workers: Int
    let slots: Int

    static let mostWorkers = 1024
    static let mostSlots = 8192

    /// Makes the memory for a pool.
    init(header: Header, in arena: Arena) throws {
        self.arena = arena
        workers = header.workers
        slots = header.slots
        let bytes = Self.headerBytes + workers * Self.workerBytes + 2 * slots * 8 + slots * Self.slotBytes
        offset = try arena.allocate(bytes)
        (arena.base + offset).initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        (arena.base + offset).storeBytes(of: header, as: Header.self)
    }

    /// The pool that a worker is told of.
    init(at offset: Int, in arena: Arena) {
        self.arena = arena
        self.offset = offset
        let header = (arena.base + offset).load(as: Header.self)
        workers = header.workers
        slots = header.slots
    }

    var header: Header { (arena.base + offset).load(as: Header.self) }

    var head: UnsafeMutablePointer<Atomic<UInt64>> { arena.word(offset + Self.head) }
    var tail: UnsafeMutablePointer<Atomic<UInt64>> { arena.word(offset + Self.tail) }
    /// 1 when idle workers are to end.
    var leave: FutexWord { arena.word32(offset + Self.leave) }
    /// What the supervisor sleeps on, and whether it does.
    var attention: FutexWord { arena.word32(offset + Self.attention) }
    var supervisorAsleep: FutexWord { arena.word32(offset + Self.supervisorAsleep) }
    /// What publishers sleep on for a free slot, and how many do.
    var space: FutexWord { arena.word32(offset + Self.space) }
    var publishersWaiting: FutexWord { arena.word32(offset + Self.publishersWaiting) }
    /// A bit for each worker that sleeps or is about to.
    func sleepers(_ i: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { arena.word(offset + Self.sleepers + i * 8) }
    /// A bit for each slot whose end the supervisor wants to hear of.
    func finished(_ i: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { arena.word(offset + Self.finished + i * 8) }

    private func workerLine(_ i: Int) -> Int { offset + Self.headerBytes + i * Self.workerBytes }
    /// 1 when the worker has been called.
    func called(_ worker: Int) -> FutexWord { arena.word32(workerLine(worker)) }
    /// 0 until the worker is ready for tasks, then 1; 2 when it has decided to leave.
    func phase(_ worker: Int) -> FutexWord { arena.word32(workerLine(worker) + 4) }

    private var queueOffset: Int { offset + Self.headerBytes + workers * Self.workerBytes }
    func queued(_ position: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>> {
        arena.word(queueOffset + Int(position & UInt64(2 * slots - 1)) * 8)
    }

    private func slot(_ i: Int) -> Int { queueOffset + 2 * slots * 8 + i * Self.slotBytes }
    func word(_ i: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { arena.word(slot(i)) }
    /// The half of the word that threads sleep on (the lower one, on the little-endian machines that Swift runs on).
    func futex(_ i: Int) -> FutexWord { arena.word32(slot(i)) }
    /// When a worker took the task, on the monotonic clock; 0 before.
    func claimedAt(_ i: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { arena.word(slot(i) + 8) }
    func fields(_ i: Int) -> UnsafeMutablePointer<SlotFields> { (arena.base + slot(i) + 16).assumingMemoryBound(to: SlotFields.self) }
    func arguments(_ i: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: arena.base + slot(i) + 128, count: Self.inlineBytes)
    }
    func result(_ i: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: arena.base + slot(i) + 224, count: Self.inlineBytes)
    }
}
