import Synchronization
import SystemLayer

/// A bounded queue of messages in the arena, first in, first out, between any threads and processes.
///
/// What is in it belongs to it, that is, to its object's ``Keeper``, and so to no process that could die. It changes under a lock that outlives its owner, and each
/// change counts by one store. What a process that died under the lock has begun besides, the next one to take it undoes. The room's README has the moves.
struct MessageRing {
    // The object. First, on one cache line: the lock; whether it is closed; how many messages were taken, and put; and, at 32, where the counts of objects are.
    // Then the queues of waiters, and the messages.
    private static let closedAt = 8
    static let takenAt = 16
    static let putAt = 24
    private static let countsAt = 32
    static let waitersAt = 64
    private static let slotsAt = waitersAt + 2 * WaitQueue.size
    private static let slotSize = MemoryLayout<Message>.size

    let block: ObjectBlock
    let capacity: Int
    private let object: Int
    private let lock: OwnerLock
    /// Those that wait for a message, and for room.
    let getters: WaitQueue
    let putters: WaitQueue

    var arena: Arena { block.arena }

    /// Makes the object, held by the calling process.
    /// - Parameter element: the type that it is to be found with.
    static func make(_ kind: ObjectBlock.Kind, elementSize: Int, element: (any Any.Type)? = nil, capacity: Int) throws -> MessageRing {
        let (bytes, overflow) = capacity.multipliedReportingOverflow(by: slotSize)
        guard capacity >= 1, !overflow, bytes < Int.max - (1 << 20) else {
            throw SharedMemoryError(
                "There can be no queue with room for \(capacity) values: ask for 1 or more, and no more than fit in memory, of which each takes 64 bytes."
            )
        }
        return MessageRing(
            try ObjectBlock.make(
                kind, elementSize: elementSize, element: element, count: capacity, size: slotsAt + bytes, zeroed: slotsAt,
                in: try Arena.current()))
    }

    init(_ block: ObjectBlock) {
        self.block = block
        capacity = block.count
        object = block.offset + ObjectBlock.payload
        lock = OwnerLock(word: block.arena.word32(object), offset: UInt64(object))
        getters = WaitQueue(at: object + Self.waitersAt, in: block.arena)
        putters = WaitQueue(at: object + Self.waitersAt + WaitQueue.size, in: block.arena)
    }

    private func word(_ place: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { arena.word(object + place) }
    private var put: UnsafeMutablePointer<Atomic<UInt64>> { word(Self.putAt) }
    private var taken: UnsafeMutablePointer<Atomic<UInt64>> { word(Self.takenAt) }
    private var closed: UnsafeMutablePointer<Atomic<UInt64>> { word(Self.closedAt) }
    /// Where the counts of ``KeptObjects`` are, or 0.
    private var counts: UnsafeMutablePointer<Atomic<UInt64>> { word(Self.countsAt) }

    @inline(__always)
    private func slot(_ position: UInt64) -> UnsafeMutableRawPointer {
        arena.base + (object + Self.slotsAt + Int(position % UInt64(capacity)) * Self.slotSize)
    }

    // MARK: Looking

    /// How many messages there are, or were a moment ago.
    var count: Int {
        while true {
            let taken = taken.pointee.load(ordering: .acquiring)
            let put = put.pointee.load(ordering: .acquiring)
            // Both only grow: this is how it was when the second was read.
            if self.taken.pointee.load(ordering: .acquiring) == taken { return Int(truncatingIfNeeded: put &- taken) }
        }
    }

    var isClosed: Bool { closed.pointee.load(ordering: .acquiring) != 0 }

    // The looks before the lock, of which who waits takes many.
    private var looksFull: Bool { count >= capacity && !isClosed && !isLeftByDead }
    private var looksEmpty: Bool { count == 0 && !isClosed && !isLeftByDead }

    /// Whether the next to take the lock has something to clear up.
    private var isLeftByDead: Bool { lock.word.pointee.load(ordering: .relaxed) & OwnerLock.ownerDied != 0 }

    // MARK: Changing

    /// Takes over a message, with the block in it, which is the calling process's.
    ///
    /// Does not block, but for others that do this.
    /// - Returns: false when there is no room.
    /// - Throws: ``QueueClosed``; ``SharedMemoryError`` where there is none for what the ring needs in order to own a block. Then nothing is taken over.
    func tryPut(_ message: Message) throws -> Bool {
        if looksFull { return false }
        return try getters.whileChanging {
            let isPut = try whileLocked {
                if isClosed { throw QueueClosed.toPutters }
                let (position, taken) = (put.pointee.load(ordering: .relaxed), taken.pointee.load(ordering: .relaxed))
                if position &- taken >= UInt64(capacity) { return false }
                // What is kept before the message counts is nobody's, should this thread die now, and is let go of by ``repair``.
                if message.block != 0 || message.handles > 0 {
                    let keeper = try keeper()
                    keptObjects(keeper).keep(message)
                    if message.block != 0 { arena.give(message.block, to: keeper.identity) }
                }
                slot(position).storeBytes(of: message, as: Message.self)
                put.pointee.store(position &+ 1, ordering: .sequentiallyConsistent)
                return true
            }
            if isPut { getters.notifyAfterOrderedChange() }
            return isPut
        }
    }

    /// Takes the first message out. Its block is the calling process's from then on, and so are its objects: see ``Message/release(in:)``.
    ///
    /// Does not block, but for others that do this.
    /// - Returns: nil when there is none.
    /// - Throws: ``QueueClosed`` when there is none, and none will come.
    func tryGet() throws -> Message? {
        if looksEmpty { return nil }
        return try putters.whileChanging {
            let message: Message? = try whileLocked {
                let position = taken.pointee.load(ordering: .relaxed)
                if position == put.pointee.load(ordering: .relaxed) {
                    if isClosed { throw QueueClosed.toGetters }
                    return nil
                }
                let message = slot(position).load(as: Message.self)
                // From here on it is this thread's; should that die, ``repair`` frees what the ring still has of it.
                taken.pointee.store(position &+ 1, ordering: .sequentiallyConsistent)
                if message.block != 0 || message.handles > 0, let keeper = Keeper.of(block) {
                    if message.block != 0 { arena.adopt(message.block) }
                    var named: Set<UInt64>?
                    keptObjects(keeper).handOver(message) { handle in
                        if message.handles <= Self.fewHandles { return isNamed(handle) }
                        if named == nil { named = namedObjects() }
                        return named?.contains(handle) ?? false
                    }
                }
                return message
            }
            if message != nil { putters.notifyAfterOrderedChange() }
            return message
        }
    }

    /// Lets nothing more be put. Everybody that waits is told.
    func close() {
        putters.whileChanging {
            getters.whileChanging {
                whileLocked { closed.pointee.store(1, ordering: .releasing) }
                getters.notifyAll()
                putters.notifyAll()
            }
        }
    }

    @inline(__always)
    private func whileLocked<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        if lock.lock(in: arena) { repair() }
        do throws(E) {
            let result = try body()
            lock.unlock()
            return result
        } catch {
            lock.unlock()
            throw error
        }
    }

    // MARK: What the ring keeps

    private func keeper() throws -> Keeper {
        if let keeper = Keeper.of(block), counts.pointee.load(ordering: .relaxed) != 0 { return keeper }
        let keeper = try Keeper.of(block) ?? Keeper.make(for: block)
        let offset = try arena.allocate(KeptObjects.size(forMessages: capacity))
        (arena.base + offset).initializeMemory(as: UInt8.self, repeating: 0, count: KeptObjects.size(forMessages: capacity))
        arena.give(offset, to: keeper.identity)
        counts.pointee.store(UInt64(offset), ordering: .releasing)
        return keeper
    }

    private func keptObjects(_ keeper: Keeper) -> KeptObjects {
        KeptObjects(keeper: keeper, counts: Int(counts.pointee.load(ordering: .relaxed)), messages: capacity, in: arena)
    }

    func forEachMessage(_ body: (Message) -> Bool) {
        var position = taken.pointee.load(ordering: .relaxed)
        let end = put.pointee.load(ordering: .relaxed)
        while position != end, body(slot(position).load(as: Message.self)) { position &+= 1 }
    }

    /// Up to how many handles of one message are looked for one by one: a set takes some fifty times as long to make as to look through what goes into it.
    private static let fewHandles = 64

    private func namedObjects() -> Set<UInt64> {
        var named: Set<UInt64> = []
        forEachMessage { message in
            message.forEachHandle(in: arena) { named.insert($0) }
            return true
        }
        return named
    }

    /// Whether a message that is in the ring names the object at `handle`.
    private func isNamed(_ handle: UInt64) -> Bool {
        var isNamed = false
        forEachMessage { message in
            message.forEachHandle(in: arena) { if $0 == handle { isNamed = true } }
            return !isNamed
        }
        return isNamed
    }

    /// Lets go of what the keeper has and no message names: a thread has died while it held the lock. Can be repeated.
    private func repair() {
        guard let keeper = Keeper.of(block) else { return }
        let counts = Int(counts.pointee.load(ordering: .relaxed))
        var kept: Set<Int> = [counts]
        let objects = counts == 0 ? nil : keptObjects(keeper)
        objects?.beginRecount()
        forEachMessage { message in
            kept.insert(message.block)
            message.forEachHandle(in: arena) {
                kept.insert(Int($0))
                objects?.recount($0)
            }
            return true
        }
        Reclamation.reclaimBlocks(of: keeper.identity, except: kept, in: arena)
    }
}
