import Synchronization

@testable import SharedState

/// Deaths in the arena's own operations.
enum AllocatorExperiments {
    private static let small = 200
    /// Two to a granule.
    private static let half = 32_000
    /// Three granules.
    private static let large = 3 * ArenaLayout.granuleSize - 100

    static func allocateSmall() throws { try kill("Arena.allocate, small") { _ = try $0.allocate(small) } }

    /// Each victim finds the class without a free block.
    static func allocateSmallInNewGranule() throws {
        try kill("Arena.allocate, small, in a new granule", prepare: releaseEmptyGranules) { _ = try $0.allocate(half) }
    }

    static func allocateLarge() throws { try kill("Arena.allocate, large") { _ = try $0.allocate(large) } }

    static func freeSmall() throws { try killInFree("Arena.free, small", small) }
    static func freeLarge() throws { try killInFree("Arena.free, large", large) }

    /// By two granules, into the free ones at the end.
    static func growLarge() throws {
        var block = 0
        try kill(
            "Arena.grow", before: { block = try $0.allocate(large) },
            { arena in
                if !arena.grow(block, to: 5 * ArenaLayout.granuleSize) {
                    throw Laboratory.Failure(description: "there was no room to grow")
                }
            })
    }

    /// Another process allocates between any two instructions of one that allocates, so that the two meet in the same free granules.
    static func allocateBesideOthers() throws {
        let arena = try Arena.current()
        let neighbours = try (0..<2).map { _ in try MarkedBlock(large, in: arena) }
        let hole = try arena.allocate(large)
        let behind = try MarkedBlock(large, in: arena)
        arena.free(hole)
        let census = Census(arena)
        var other: MarkedBlock?
        try Execution(
            name: "Arena.allocate, large, beside others", arena: arena,
            operation: { _ = try arena.allocate(large) }, meddle: { other = try MarkedBlock(large, in: arena) },
            afterDeath: {
                // Both have all of theirs, so neither has any of the other's.
                let new = Census(arena).blocks.keys.filter { census.blocks[$0] == nil }
                if other != nil {
                    try requireEqual(new.map { arena.capacity(ofBlockAt: $0) }, [3 * ArenaLayout.granuleSize, 3 * ArenaLayout.granuleSize])
                }
            },
            check: { _ in
                try other?.requireIntact(in: arena)
                if let other { arena.free(other.offset) }
                other = nil
                try census.requireUnchanged(in: arena)
                for neighbour in neighbours + [behind] { try neighbour.requireIntact(in: arena) }
            }, undo: { census.freeNewBlocks(in: arena) }, samples: 300
        ).run()
    }

    private static func killInFree(_ name: String, _ size: Int) throws {
        var block = 0
        try kill(name, before: { block = try $0.allocate(size) }, { $0.free(block) })
    }

    private static func kill(
        _ name: String, prepare: @escaping (Arena) -> Void = { _ in }, before: @escaping (Arena) throws -> Void = { _ in },
        _ operation: @escaping (Arena) throws -> Void
    ) throws {
        let arena = try Arena.current()
        // Neighbours on all sides, and a hole between them that is too small for a large block.
        let neighbours = try [small, half, large, small, large, half, large].map { try MarkedBlock($0, in: arena) }
        let hole = try [1, 1].map { try arena.allocate($0 * 2 * ArenaLayout.granuleSize) }
        arena.free(hole[0])
        let census = Census(arena)
        try Execution(
            name: name, arena: arena, prepare: { _ in prepare(arena) }, before: { try before(arena) }, operation: { try operation(arena) },
            check: { _ in
                try census.requireUnchanged(in: arena)
                for neighbour in neighbours { try neighbour.requireIntact(in: arena) }
                for size in [small, large] { arena.free(try MarkedBlock(size, in: arena).offset) }
            },
            undo: { census.freeNewBlocks(in: arena) }
        ).run()
    }

    /// Makes granules of small blocks that are all free granules again, as they were before their first use.
    private static func releaseEmptyGranules(_ arena: Arena) {
        for granule in 0..<arena.committedGranules {
            let word = BlockWord(rawValue: arena.granuleWord(granule).pointee.load(ordering: .acquiring))
            guard word.kind == .small else { continue }
            let words = (0..<ArenaLayout.smallBlocks(ofClass: word.sizeClass).count).map {
                arena.word(arena.offset(ofGranule: granule) + $0 * 8)
            }
            if words.allSatisfy({ BlockWord(rawValue: $0.pointee.load(ordering: .acquiring)).kind == .free }) {
                arena.granuleWord(granule).pointee.store(BlockWord(.free).rawValue, ordering: .releasing)
            }
        }
    }
}
