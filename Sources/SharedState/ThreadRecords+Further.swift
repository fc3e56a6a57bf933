import CMultiprocessing
import Synchronization

/// Further records of a thread, for what it lists when all places of its own are taken.
///
/// A further record says whose it is by process and token, and all its places count, those that are not 0; so whoever reclaims the process finds and settles it by
/// itself, like any other. Which record comes next stands in the one before it, and is looked at by the thread alone. They stay its own until it ends.
extension ThreadRecords {
    /// Lists what has no place in the thread's own record. Where all records are taken, it is not listed: others then find out by themselves that it is gone.
    @inline(never) @usableFromInline
    static func enterFurther(_ listing: UInt64) {
        guard let (arena, own) = ownRecord() else { return }
        var last = own
        for (index, _) in furtherRecords(of: own, in: arena) {
            if let place = place(of: 0, in: index, arena) { return place.pointee.store(listing, ordering: .releasing) }
            last = index
        }
        guard let (new, _) = claim(as: 2, in: arena) else { return }
        // It has nobody's token yet: until it has, nothing in it is settled.
        for i in 0..<listed { arena.word(record(new) + locks + i * 8).pointee.store(0, ordering: .relaxed) }
        arena.word(record(new) + locks).pointee.store(listing, ordering: .relaxed)
        arena.word(record(new) + depth).pointee.store(UInt64(mp_thread_token()), ordering: .releasing)
        arena.word(record(last)).pointee.bitwiseOr(UInt64(new + 1) << 49, ordering: .releasing)
    }

    /// Strikes out what is listed in a further record, if it is.
    static func strikeOutFurther(_ listing: UInt64) {
        guard let (arena, own) = ownRecord() else { return }
        for (index, _) in furtherRecords(of: own, in: arena) {
            if let place = place(of: listing, in: index, arena) { return place.pointee.store(0, ordering: .releasing) }
        }
    }

    /// The further records of the calling thread, whose own is at `index`; with their first words.
    static func furtherRecords(of index: Int, in arena: Arena) -> UnfoldSequence<(index: Int, state: UInt64), Int> {
        sequence(state: index) { index in
            let next = Int(arena.word(record(index)).pointee.load(ordering: .relaxed) >> 49)
            if next == 0 { return nil }
            index = next - 1
            return (index, arena.word(record(index)).pointee.load(ordering: .relaxed))
        }
    }

    /// Settles what stands in a further record of a thread that has ended.
    static func endFurther(_ index: Int, _ state: UInt64, in arena: Arena) {
        let token = UInt32(truncatingIfNeeded: arena.word(record(index) + depth).pointee.load(ordering: .acquiring))
        if token != 0 { settle(listed, of: index, token, in: arena) }
        free(index, state, in: arena)
    }

    private static func ownRecord() -> (arena: Arena, index: Int)? {
        guard let record = mp_thread_record(), let arena = try? Arena.current() else { return nil }
        return (arena, (UnsafeMutableRawPointer(record) - arena.base - ArenaLayout.threadTable) / ArenaLayout.threadRecordSize)
    }

    private static func place(of listing: UInt64, in index: Int, _ arena: Arena) -> UnsafeMutablePointer<Atomic<UInt64>>? {
        (0..<listed).lazy.map { arena.word(record(index) + locks + $0 * 8) }.first { $0.pointee.load(ordering: .relaxed) == listing }
    }
}
