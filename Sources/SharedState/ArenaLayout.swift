/// Where things are in the arena. All processes of a family run the same image, so the layout needs no version.
///
/// ```
/// header | process table | thread table | granule table | granules …
/// ```
enum ArenaLayout {
    /// The unit in which the arena is handed out: a run of these is a large block, one of them holds small blocks of one size.
    static let granuleSize = 64 << 10
    static let pageSize = 4096

    static let processCapacity = 1024
    static let processEntrySize = 64
    /// One less than what 13 bits of a token can tell apart: none of them is 0.
    static let threadCapacity = 8191
    static let threadRecordSize = 64

    static let processTable = pageSize
    static let threadTable = processTable + processCapacity * processEntrySize
    static let granuleTable = threadTable + threadCapacity * threadRecordSize

    /// How many granules fit in an arena of `length` bytes, and where the first one begins.
    static func granules(in length: Int) -> (first: Int, count: Int) {
        let mostGranules = length / granuleSize
        let first = (granuleTable + mostGranules * 8 + granuleSize - 1) / granuleSize * granuleSize
        return (first, max(0, (length - first) / granuleSize))
    }

    /// The sizes of small blocks in bytes: four steps a doubling, so that at most a fifth is lost.
    static let smallSizes: [Int] = [
        64, 128, 192, 256, 320, 384, 512, 640, 768, 1024, 1280, 1536, 2048, 2560, 3072, 4096, 5120, 6144, 8192, 10240, 12288, 16256, 21760,
        32640,
    ]

    /// The index in ``smallSizes`` of the smallest that holds `size` bytes, or nil for a large block.
    static func sizeClass(for size: Int) -> Int? { smallSizes.firstIndex { $0 >= size } }

    /// A granule of small blocks begins with a word for each of them; the blocks follow, each at a multiple of 64 bytes.
    static func smallBlocks(ofClass sizeClass: Int) -> (count: Int, first: Int, size: Int) {
        let size = smallSizes[sizeClass]
        var count = granuleSize / (size + 8)
        while (count * 8 + 63) / 64 * 64 + count * size > granuleSize { count -= 1 }
        return (count, (count * 8 + 63) / 64 * 64, size)
    }
}

/// The first page of the arena.
enum ArenaHeader {
    static let magicValue: UInt64 = 0x3157_4953_4f52_504d
    static let magic = 0
    /// Granules that have memory behind them: grows only.
    static let committed = 8
    /// The most granules that may be committed.
    static let cap = 16
    /// The process that keeps the ``DescriptorDepot``, and 16 bytes of which the depot's name is made, the second word first; 0: none yet.
    static let depotProcess = 24
    static let depotName = 32
    /// A bit for each entry of the process table; see ``RunnableProcesses``.
    static let runnable = 128
}
