import Synchronization

/// Counting what is in use, for whoever wants to know whether something is kept that should have gone.
extension Arena {
    /// How many blocks are owned by a process or are shared objects. Others may allocate meanwhile: exact only when nobody does.
    ///
    /// Does not block. Time grows with the memory that the arena has taken.
    package var blocksInUse: Int { census.blocks }

    /// How many of those blocks are shared objects.
    package var objectsInUse: Int { census.objects }

    private var census: (blocks: Int, objects: Int) {
        var result = (blocks: 0, objects: 0)
        func note(_ state: BlockWord) {
            switch state.kind {
            case .owned: result.blocks += 1
            case .object: (result.blocks, result.objects) = (result.blocks + 1, result.objects + 1)
            default: break
            }
        }
        for granule in 0..<committedGranules {
            let state = BlockWord(rawValue: granuleWord(granule).pointee.load(ordering: .acquiring))
            guard state.kind == .small else {
                note(state)
                continue
            }
            for index in 0..<ArenaLayout.smallBlocks(ofClass: state.sizeClass).count {
                note(BlockWord(rawValue: word(offset(ofGranule: granule) + index * 8).pointee.load(ordering: .acquiring)))
            }
        }
        return result
    }
}
