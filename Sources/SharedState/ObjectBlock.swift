import Synchronization
import SystemLayer

/// A 64-bit word of a shared object.
typealias ObjectWord = UnsafeMutablePointer<Atomic<UInt64>>

/// A block that is alive while any process of the family holds a handle to it. Who does is a bit for each process, so that taking and dropping a hold can be
/// repeated or cut short by a death without harm, as a count could not.
struct ObjectBlock {
    // 0: what it is; 4: size of an element; 8: number of elements; 16: its keeper; 24: the type of an element; 64: the holders; 192: the object.
    static let payload = 192
    private static let keeperAt = 16
    private static let markAt = 24
    private static let holders = 64
    private static let holderWords = ArenaLayout.processCapacity / 64

    enum Kind: UInt32 {
        case value = 0x5661_6c75
        case lock = 0x4c6f_636b
        case array = 0x4172_7279
        case atomic = 0x4174_6f6d
        case queue = 0x5175_6575
        case semaphore = 0x5365_6d61
        case event = 0x4576_6e74
        case condition = 0x436f_6e64
        case recursiveLock = 0x5265_6375
        case barrier = 0x4261_7272
        case readWriteLock = 0x5277_4c6b
        case deposit = 0x4465_706f

        /// What it is called, for messages.
        var name: String {
            switch self {
            case .value: "SharedValue"
            case .lock: "SharedLock"
            case .array: "SharedArray"
            case .atomic: "SharedAtomic"
            case .queue: "SharedQueue"
            case .semaphore: "SharedSemaphore"
            case .event: "SharedEvent"
            case .condition: "SharedCondition"
            case .recursiveLock: "SharedRecursiveLock"
            case .barrier: "SharedBarrier"
            case .readWriteLock: "SharedReadWriteLock"
            case .deposit: "SharedDescriptor or Connection"
            }
        }
    }

    let offset: Int
    let arena: Arena

    init(offset: Int, in arena: Arena) {
        self.offset = offset
        self.arena = arena
    }

    /// Makes an object of `size` bytes that the calling process holds. They are zero, or only the first `zeroed` are: whoever fills gigabytes
    /// does so once.
    /// - Parameter element: the type that it is to be found with.
    static func make(
        _ kind: Kind, elementSize: Int, element: (any Any.Type)? = nil, count: Int, size: Int, zeroed: Int? = nil, in arena: Arena
    ) throws -> ObjectBlock {
        let offset = try arena.allocate(payload + size)
        let block = ObjectBlock(offset: offset, in: arena)
        (arena.base + offset).initializeMemory(as: UInt8.self, repeating: 0, count: payload + (zeroed ?? size))
        (arena.base + offset).storeBytes(of: kind.rawValue, as: UInt32.self)
        (arena.base + offset).storeBytes(of: UInt32(elementSize), toByteOffset: 4, as: UInt32.self)
        (arena.base + offset).storeBytes(of: UInt64(count), toByteOffset: 8, as: UInt64.self)
        if let element { TypeMark.of(element).write(to: arena.base + offset + markAt) }
        HandleRegistry.retain(block)
        // Until here it is its maker's memory, and goes with it.
        let word = block.word
        let state = BlockWord(rawValue: word.pointee.load(ordering: .relaxed))
        word.pointee.store(state.changed(to: .object).rawValue, ordering: .releasing)
        return block
    }

    /// The object at `offset`, which may be anything, if it is what is expected there.
    /// - Parameters:
    ///   - elementSize: nil for any.
    ///   - element: as for `make`; nil for any.
    static func find(
        _ kind: Kind, elementSize: Int?, element: (any Any.Type)? = nil, at offset: UInt64, in arena: Arena
    ) -> ObjectBlock? {
        guard let block = any(at: offset, in: arena), block.kind == kind, elementSize == nil || elementSize == block.elementSize else {
            return nil
        }
        if let element, TypeMark.of(element).hash != TypeMark.hash(at: block.mark) { return nil }
        return block
    }

    /// Whatever object is at `offset`, which may be anything.
    private static func any(at offset: UInt64, in arena: Arena) -> ObjectBlock? {
        guard let offset = Int(exactly: offset), let word = arena.blockWord(at: offset),
            BlockWord(rawValue: word.pointee.load(ordering: .acquiring)).kind == .object
        else { return nil }
        return ObjectBlock(offset: offset, in: arena)
    }

    /// What is at `offset`, which may be anything, in words: "a SharedValue<Int>"; nil where there is no object.
    static func description(at offset: UInt64, in arena: Arena) -> String? {
        guard let block = any(at: offset, in: arena), let kind = block.kind else { return nil }
        return "a " + kind.name + (TypeMark.name(at: block.mark).map { "<\($0)>" } ?? "")
    }

    /// The same, held for a handle to it: by what the process holds already on its behalf, or anew.
    static func take(
        _ kind: Kind, elementSize: Int?, element: (any Any.Type)? = nil, at offset: UInt64, isHeld: Bool, in arena: Arena
    ) -> ObjectBlock? {
        guard let block = find(kind, elementSize: elementSize, element: element, at: offset, in: arena) else { return nil }
        if !isHeld { HandleRegistry.retain(block) }
        return block
    }

    private var kind: Kind? { Kind(rawValue: (arena.base + offset).load(as: UInt32.self)) }
    /// Where its ``TypeMark`` is, or zeros.
    private var mark: UnsafeMutableRawPointer { arena.base + offset + Self.markAt }
    var elementSize: Int { Int((arena.base + offset).load(fromByteOffset: 4, as: UInt32.self)) }
    /// The identity of the object's ``Keeper``; 0 while it has none.
    var keeper: UnsafeMutablePointer<Atomic<UInt64>> { arena.word(offset + Self.keeperAt) }

    /// Whether there is an object here, and `keeper` is its keeper. The block may be anything.
    func isKept(by keeper: ProcessIdentity) -> Bool {
        guard let word = arena.blockWord(at: offset) else { return false }
        return BlockWord(rawValue: word.pointee.load(ordering: .acquiring)).kind == .object
            && self.keeper.pointee.load(ordering: .acquiring) == UInt64(keeper.bits)
    }

    /// A 64-bit word of the object, `place` bytes from its beginning.
    func payloadWord(_ place: Int) -> ObjectWord { arena.word(offset + Self.payload + place) }

    var count: Int { Int((arena.base + offset).load(fromByteOffset: 8, as: UInt64.self)) }

    private var word: UnsafeMutablePointer<Atomic<UInt64>> {
        guard let word = arena.blockWord(at: offset) else { preconditionFailure("a shared object's block is gone") }
        return word
    }

    private func holderWord(_ i: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { arena.word(offset + Self.holders + i * 8) }

    /// The word and the bit in it that say whether a process holds the object.
    private func hold(of identity: ProcessIdentity) -> (word: UnsafeMutablePointer<Atomic<UInt64>>, bit: UInt64) {
        (holderWord(Int(identity.slot) / 64), 1 << (UInt64(identity.slot) % 64))
    }

    /// Whether it is in a queue, or another object that holds others by itself. Only while the calling process holds it.
    var isHeldByKeeper: Bool {
        (0..<Self.holderWords).contains { i in
            var bits = holderWord(i).pointee.load(ordering: .acquiring)
            while bits != 0 {
                if ProcessTable.isKeeper(slot: i * 64 + bits.trailingZeroBitCount, in: arena) { return true }
                bits &= bits - 1
            }
            return false
        }
    }

    /// Only on behalf of, or for, a process to which somebody who holds the object has given it.
    func addHolder(_ identity: ProcessIdentity) {
        let hold = hold(of: identity)
        hold.word.pointee.bitwiseOr(hold.bit, ordering: .acquiringAndReleasing)
        // Whoever is looking for holders right now may have passed this one: let its attempt to free fail.
        word.pointee.wrappingAdd(1 << 32, ordering: .acquiringAndReleasing)
    }

    /// Ends a hold, and frees the object if that was the last. Only on behalf of a process that holds it, and by one thread: until the bit is gone, the block is sure
    /// to be this object.
    func removeHolder(_ identity: ProcessIdentity) { freeUnlessHeld(endHold(of: identity)) }

    /// The first step of ``removeHolder(_:)``.
    /// - Returns: the block's word, for the second, ``freeUnlessHeld(_:)``.
    func endHold(of identity: ProcessIdentity) -> UnsafeMutablePointer<Atomic<UInt64>> {
        // Found while it is sure to be there.
        let word = word
        let hold = hold(of: identity)
        hold.word.pointee.bitwiseAnd(~hold.bit, ordering: .acquiringAndReleasing)
        return word
    }

    /// Frees the object, if it is still there, and nobody holds it any more. With a queue go the objects in it, handles of which settle what they have to: so not under
    /// the registry's lock.
    func freeUnlessHeld(_ word: UnsafeMutablePointer<Atomic<UInt64>>) {
        while true {
            let state = BlockWord(rawValue: word.pointee.load(ordering: .acquiring))
            guard state.kind == .object else { return }
            for i in 0..<Self.holderWords where holderWord(i).pointee.load(ordering: .acquiring) != 0 { return }
            if free(word, expecting: state) { return }
        }
    }

    /// Frees the object if its word still says `expected`, and with it what its keeper has.
    private func free(_ word: UnsafeMutablePointer<Atomic<UInt64>>, expecting expected: BlockWord) -> Bool {
        // Read before it may be another's; it is this object's if the word has not changed by then.
        let keeper = keeper.pointee.load(ordering: .acquiring)
        guard arena.release(word, at: offset, expecting: expected) else { return false }
        // A death before this: whoever sweeps the process table next finds a keeper without its object.
        if keeper != 0 { ProcessTable.end(keeper: UInt32(truncatingIfNeeded: keeper), in: arena) }
        return true
    }

    /// What some kinds have to do about the death of a process that held them. It can be repeated.
    private func settleDeath(of identity: ProcessIdentity) {
        switch kind {
        case .barrier:
            SharedBarrier.settleDeath(
                self, pid: ProcessTable.processIdentifier(of: identity, in: arena),
                // A keeper has come to its end with its object, and never was a party.
                inOrder: ProcessTable.hasEndedInOrder(identity, in: arena) || ProcessTable.wasKeeper(identity, in: arena))
        case .readWriteLock: SharedReadWriteLock.settleDeath(self)
        default: break
        }
    }

    /// Removes the hold that a dead process may have. It is not known whether it has one, so the object may go at any moment, and its memory be another's:
    /// what is read there is worth something only if the block has not changed meanwhile, and nothing is written before that is known.
    func removeHold(ofDead identity: ProcessIdentity) {
        let word = word
        let hold = hold(of: identity)
        while true {
            let state = BlockWord(rawValue: word.pointee.load(ordering: .acquiring))
            guard state.kind == .object else { return }
            let isHeld = hold.word.pointee.load(ordering: .acquiring) & hold.bit != 0
            let isOrphan = !isHeld && (0..<Self.holderWords).allSatisfy { holderWord($0).pointee.load(ordering: .acquiring) == 0 }
            guard word.pointee.load(ordering: .acquiring) == state.rawValue else { continue }
            // The object stays as long as this hold does.
            if isHeld {
                settleDeath(of: identity)
                return removeHolder(identity)
            }
            // It may have let go, and died before it freed the object.
            if !isOrphan || free(word, expecting: state) { return }
        }
    }
}
