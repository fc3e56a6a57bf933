import Synchronization

/// What a shared object owns and holds by itself, whichever processes come and go: a member of the family that is no process.
///
/// It has an entry of the process table, and so an identity. Blocks that are given to that identity (``Arena/give(_:to:)``), and objects that it is made a holder
/// of (``ObjectBlock/addHolder(_:)``), stay when a process dies, and go with the object that the keeper is for, in the way in which those of a
/// dead process do.
struct Keeper: Equatable {
    let identity: ProcessIdentity

    /// The keeper of `object`, if it has one.
    static func of(_ object: ObjectBlock) -> Keeper? {
        let bits = UInt32(truncatingIfNeeded: object.keeper.pointee.load(ordering: .acquiring))
        return bits == 0 ? nil : Keeper(identity: ProcessIdentity(bits: bits))
    }

    /// Gives `object`, which the calling process holds, a keeper. One thread of all processes at a time.
    /// - Throws: ``SharedMemoryError`` when the process table is full.
    static func make(for object: ObjectBlock) throws -> Keeper {
        let identity = try ProcessTable.enterKeeper(of: object)
        object.keeper.pointee.store(UInt64(identity.bits), ordering: .releasing)
        ProcessTable.establish(keeper: identity, in: object.arena)
        return Keeper(identity: identity)
    }
}

/// Entries of keepers. As long as a keeper is being made its maker stands in it as its parent, and it goes with the maker if it has not come to its object. Then none
/// does: it lives as long as its object names it, and whoever finds that it does not reclaims what it had.
extension ProcessTable {
    /// Where a keeper's object is; 0 in all other entries.
    static func object(ofKeeper slot: UInt16, in arena: Arena) -> UnsafeMutablePointer<Atomic<UInt64>> { arena.word(entry(Int(slot)) + 16) }

    fileprivate static func enterKeeper(of object: ObjectBlock) throws -> ProcessIdentity {
        let identity = try enter(.keeper, parent: CurrentProcess.identity(in: object.arena), in: object.arena)
        self.object(ofKeeper: identity.slot, in: object.arena).pointee.store(UInt64(object.offset), ordering: .releasing)
        return identity
    }

    fileprivate static func establish(keeper: ProcessIdentity, in arena: Arena) {
        // Nobody else writes it, as the maker lives.
        arena.word(entry(Int(keeper.slot))).pointee.store(word(.keeper, generation: keeper.generation), ordering: .releasing)
    }

    /// Whether the entry is a keeper's.
    static func isKeeper(slot: Int, in arena: Arena) -> Bool {
        arena.word(entry(slot)).pointee.load(ordering: .acquiring) & 15 == Phase.keeper.rawValue
    }

    /// Whether an entry that is being cleared, or a living one, is a keeper's.
    static func wasKeeper(_ identity: ProcessIdentity, in arena: Arena) -> Bool {
        object(ofKeeper: identity.slot, in: arena).pointee.load(ordering: .acquiring) != 0
    }

    /// Whether a keeper's object has gone, or will never come.
    static func isAbandoned(keeper: ProcessIdentity, maker: UInt32, in arena: Arena) -> Bool {
        if maker != 0, isLive(maker, in: arena) { return false }
        let offset = Int(truncatingIfNeeded: object(ofKeeper: keeper.slot, in: arena).pointee.load(ordering: .acquiring))
        return offset == 0 || !ObjectBlock(offset: offset, in: arena).isKept(by: keeper)
    }

    /// Frees what a keeper has whose object has gone.
    static func end(keeper bits: UInt32, in arena: Arena) {
        let identity = ProcessIdentity(bits: bits)
        let current = arena.word(entry(Int(identity.slot))).pointee.load(ordering: .acquiring)
        guard current & 15 == Phase.keeper.rawValue, UInt16(truncatingIfNeeded: current >> 16) == identity.generation else { return }
        clear(identity, from: current, in: arena)
    }
}
