import Synchronization

/// Frees what a process that has ended left behind.
enum Reclamation {
    /// - Parameter kept: the places of blocks and objects that `identity` goes on having.
    static func reclaimBlocks(of identity: ProcessIdentity, except kept: Set<Int> = [], in arena: Arena) {
        for granule in 0..<arena.committedGranules {
            let word = arena.granuleWord(granule)
            let state = BlockWord(rawValue: word.pointee.load(ordering: .acquiring))
            let offset = arena.offset(ofGranule: granule)
            guard state.kind == .small else {
                if !kept.contains(offset) { reclaim(word, at: offset, of: identity, in: arena) }
                continue
            }
            let blocks = ArenaLayout.smallBlocks(ofClass: state.sizeClass)
            for index in 0..<blocks.count {
                let block = offset + blocks.first + index * blocks.size
                if !kept.contains(block) { reclaim(arena.word(offset + index * 8), at: block, of: identity, in: arena) }
            }
        }
    }

    private static func reclaim(_ word: UnsafeMutablePointer<Atomic<UInt64>>, at offset: Int, of identity: ProcessIdentity, in arena: Arena)
    {
        let state = BlockWord(rawValue: word.pointee.load(ordering: .acquiring))
        switch state.kind {
        case .owned where state.ownerBits == identity.bits:
            arena.release(word, at: offset, expecting: state)
        case .claimed where state.ownerBits == identity.bits:
            // Only granules are ever in this state: a run that was being put together or taken apart.
            arena.releaseClaimed(granule: (offset - arena.firstGranule) / ArenaLayout.granuleSize, state)
        case .object:
            ObjectBlock(offset: offset, in: arena).removeHold(ofDead: identity)
        default:
            break
        }
    }
}
