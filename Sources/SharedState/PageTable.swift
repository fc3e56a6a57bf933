import Glibc
import Synchronization

/// Which of the arena's pages this process has been through.
///
/// Each page of shared memory costs every process a trap when it first writes to it, even one that others have long been using: 64 MiB take 37 ms to fill in
/// place of 11. For large blocks the kernel is asked for all their pages at once, which takes 2 ms (or 25, where it has to clear them first), and only once.
enum PageTable {
    /// From this many granules on (1 MiB), asking is worth a system call.
    private static let worthwhile = 16
    // MADV_POPULATE_READ, in the headers of Linux 5.14 and later; older kernels refuse it, and the pages come one by one. Not …WRITE: shared pages are writable either
    // way, and for a reader the kernel maps sixteen at a time.
    private static let populateRead: CInt = 22

    /// A bit for each granule that this process has all pages of; in memory that is not there until it is used. Only hints: a lost bit costs a needless call.
    private nonisolated(unsafe) static let known: UnsafeMutablePointer<Atomic<UInt64>>? = {
        guard let arena = try? Arena.current() else { return nil }
        return calloc(words(arena), 8)?.assumingMemoryBound(to: Atomic<UInt64>.self)
    }()
    /// Whose pages these are: a forked copy of a process begins without any.
    private static let owner = Atomic<UInt32>(0)

    private static func words(_ arena: Arena) -> Int { (arena.granuleCount + 63) / 64 }

    /// Has the pages of `granules`, which belong to the calling process, ready.
    static func prepare(granules: Range<Int>, in arena: Arena) {
        guard granules.count >= worthwhile, let known else { return }
        let process = CurrentProcess.identity(in: arena).bits
        if owner.load(ordering: .relaxed) != process {
            for i in 0..<words(arena) { known[i].store(0, ordering: .relaxed) }
            owner.store(process, ordering: .relaxed)
        }
        var granule = granules.lowerBound
        while granule < granules.upperBound {
            // Up to 64 at a time: those of one word.
            let (word, bit) = granule.quotientAndRemainder(dividingBy: 64)
            let count = min(64 - bit, granules.upperBound - granule)
            let mask = (count == 64 ? UInt64.max : (1 << UInt64(count)) - 1) << UInt64(bit)
            if known[word].load(ordering: .relaxed) & mask != mask {
                let pages = madvise(
                    arena.base + arena.offset(ofGranule: granule), count * ArenaLayout.granuleSize, populateRead)
                if pages == 0 { known[word].bitwiseOr(mask, ordering: .relaxed) }
            }
            granule += count
        }
    }
}
