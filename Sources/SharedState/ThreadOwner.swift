/// Whose thread a token stands for, by the arena's tables.
struct ThreadOwner {
    let processIdentifier: Int32

    /// Nil for a thread that is not there (any more).
    init?(of token: UInt32, in source: some ArenaSource) {
        let index = Int(token & 0x1fff) - 1
        guard index >= 0, let record = source.words(1, at: ArenaLayout.threadTable + index * ArenaLayout.threadRecordSize)?.first,
            record & 15 == 1, UInt32(truncatingIfNeeded: record >> 32) & 0x1ffff == token >> 13,
            let pid = Self.process(of: UInt32(truncatingIfNeeded: record >> 4) & 0xfff_ffff, in: source)
        else { return nil }
        processIdentifier = pid
    }

    /// The pid of a process of the family, by the bits of its identity; nil when it has been struck out of the table.
    static func process(of identity: UInt32, in source: some ArenaSource) -> Int32? {
        let slot = Int(identity & 0xfff) - 1
        guard slot >= 0, slot < ArenaLayout.processCapacity,
            let entry = source.words(2, at: ArenaLayout.processTable + slot * ArenaLayout.processEntrySize),
            entry[0] & 15 != 0, UInt16(truncatingIfNeeded: entry[0] >> 16) == UInt16(truncatingIfNeeded: identity >> 12)
        else { return nil }
        let pid = Int32(truncatingIfNeeded: entry[1])
        return pid > 0 ? pid : nil
    }
}
