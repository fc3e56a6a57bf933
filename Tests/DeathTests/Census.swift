import Synchronization

@testable import SharedState

/// What is in the arena, block by block.
struct Census: Equatable {
    /// Whose each block is that is not free, by its place: kind and owner.
    private(set) var blocks: [Int: UInt64] = [:]
    /// Granules that belong to nothing: lost for ever.
    private(set) var stray: [Int] = []

    init(_ arena: Arena) {
        var granule = 0
        while granule < arena.committedGranules {
            let word = BlockWord(rawValue: arena.granuleWord(granule).pointee.load(ordering: .acquiring))
            let offset = arena.offset(ofGranule: granule)
            switch word.kind {
            case .free:
                granule += 1
            case .small:
                let layout = ArenaLayout.smallBlocks(ofClass: word.sizeClass)
                for index in 0..<layout.count {
                    let block = BlockWord(rawValue: arena.word(offset + index * 8).pointee.load(ordering: .acquiring))
                    if block.kind != .free { blocks[offset + layout.first + index * layout.size] = block.rawValue & 0xffff_ffff }
                }
                granule += 1
            case .owned, .claimed, .object:
                blocks[offset] = word.rawValue & 0xffff_ffff
                granule = arena.bodyEnd(ofGranule: granule)
            case .body, nil:
                stray.append(granule)
                granule += 1
            }
        }
    }

    /// Frees what this process has allocated since.
    func freeNewBlocks(in arena: Arena) {
        for offset in Census(arena).blocks.keys where blocks[offset] == nil { arena.free(offset) }
    }

    /// Fails unless the arena is as it was.
    func requireUnchanged(in arena: Arena) throws {
        let now = Census(arena)
        guard now == self else {
            let new = now.blocks.filter { blocks[$0.key] != $0.value }.map { block in
                "\(block.key): \(String(block.value, radix: 16)), \(arena.capacity(ofBlockAt: block.key) ?? 0) bytes"
            }
            let gone = blocks.filter { now.blocks[$0.key] == nil }.map { "\($0.key)" }
            throw Laboratory.Failure(description: "blocks left over or changed: \(new), gone: \(gone), stray granules: \(now.stray)")
        }
    }
}

/// A block with contents that can be told from any others.
struct MarkedBlock {
    let offset: Int
    let words: Int

    init(_ size: Int, in arena: Arena) throws {
        offset = try arena.allocate(size)
        words = size / 8
        for i in 0..<words { (arena.base + offset).storeBytes(of: mark(i), toByteOffset: i * 8, as: UInt64.self) }
    }

    private func mark(_ i: Int) -> UInt64 { UInt64(offset) &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(i) }

    func requireIntact(in arena: Arena) throws {
        // The ends of it: what follows another block's end, and what precedes another's start.
        for i in Set([0, 1, words / 2, words - 1]) where (arena.base + offset).load(fromByteOffset: i * 8, as: UInt64.self) != mark(i) {
            throw Laboratory.Failure(description: "the block at \(offset) has been written over at word \(i)")
        }
    }
}
