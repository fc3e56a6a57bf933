import TestSupport
import Testing

@testable import SharedState

/// Large blocks within one process. One after the other, as they look at which places are free.
@Suite(.serialized, .watchdog(seconds: 120)) struct ArenaTests {
    private static let granule = ArenaLayout.granuleSize

    private func fill(_ offset: Int, _ range: Range<Int>, in arena: Arena) {
        for i in stride(from: range.lowerBound, to: range.upperBound, by: 4096) {
            (arena.base + offset).storeBytes(of: UInt64(i + 1), toByteOffset: i, as: UInt64.self)
        }
    }

    private func isFilled(_ offset: Int, _ range: Range<Int>, in arena: Arena) -> Bool {
        stride(from: range.lowerBound, to: range.upperBound, by: 4096).allSatisfy {
            (arena.base + offset).load(fromByteOffset: $0, as: UInt64.self) == UInt64($0 + 1)
        }
    }

    @Test func blocksGrowWhereTheyAre() throws {
        let arena = try Arena.current()
        let before = arena.blocksInUse
        func make() throws -> Int {
            let block = try arena.allocate(40 * Self.granule)
            fill(block, 0..<40 * Self.granule, in: arena)
            #expect(arena.grow(block, to: 40 * Self.granule), "there it is already")
            return block
        }
        // At the end of what has memory behind it, so it takes more: from this size on in large steps. Before it, others may have left room between them.
        var block = try make()
        var between: [Int] = []
        while !arena.grow(block, to: 100 * Self.granule - 5), between.count < 50 {
            between.append(block)
            block = try make()
        }
        #expect(between.count < 50)
        for other in between { arena.free(other) }
        #expect(arena.capacity(ofBlockAt: block) == 100 * Self.granule)
        fill(block, 40 * Self.granule..<100 * Self.granule, in: arena)
        #expect(isFilled(block, 0..<100 * Self.granule, in: arena))
        arena.free(block)
        // Fewer where other tests have run before: the blocks of their spare processes go meanwhile.
        #expect(arena.blocksInUse <= before)
    }

    @Test func blocksDoNotGrowIntoOthers() throws {
        let arena = try Arena.current()
        let blocks = try (0..<20).map { _ in try arena.allocate(8 * Self.granule) }
        let block = try #require(blocks.first { blocks.contains($0 + 8 * Self.granule) }, "two side by side")
        let neighbour = block + 8 * Self.granule
        #expect(!arena.grow(block, to: 9 * Self.granule))
        #expect(arena.capacity(ofBlockAt: block) == 8 * Self.granule && arena.capacity(ofBlockAt: neighbour) == 8 * Self.granule)
        arena.free(neighbour)
        #expect(arena.grow(block, to: 12 * Self.granule))
        #expect(!arena.grow(block, to: 1 << 46), "more than there is")
        #expect(arena.capacity(ofBlockAt: block) == 12 * Self.granule)
        for block in blocks where block != neighbour { arena.free(block) }
        let small = try arena.allocate(100)
        #expect(!arena.grow(small, to: 200))
        arena.free(small)
    }

    @Test func theLastBlockOfASizeComesFirst() throws {
        let arena = try Arena.current()
        // Two holes: the one that was used last is taken, though the other comes before it.
        let blocks = try (0..<4).map { _ in try arena.allocate(20 * Self.granule) }
        arena.free(blocks[1])
        arena.free(blocks[3])
        #expect(try arena.allocate(20 * Self.granule) == blocks[3])
        for i in [0, 2, 3] { arena.free(blocks[i]) }
    }
}
