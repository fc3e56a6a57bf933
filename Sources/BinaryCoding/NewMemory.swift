#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Copying into memory that has just been allocated.
///
/// What is large, the C library maps anew at every allocation: no page of it is there before it is first touched. Taking the pages one by one, a trap each,
/// costs three times as much as the copy itself; taking them in large pieces, right before each is written to, about as much.
enum NewMemory {
    /// From this size on, glibc keeps nothing for reuse, whatever was freed before (its largest M_MMAP_THRESHOLD). Smaller memory may be warm.
    static let alwaysNew = 32 << 20
    /// A huge page, where the kernel has them; and little enough that what it has just cleared is still in the cache when it is written to.
    private static let piece = 2 << 20
    // The header of Linux 5.14 and later has it; older kernels refuse it, and the copy below then takes the pages by itself.
    private static let populateWrite: CInt = 23

    /// Copies `byteCount` bytes from `source` to `memory`, which is the caller's own and holds nothing yet.
    static func fill(_ memory: UnsafeMutableRawPointer, from source: UnsafeRawPointer, byteCount: Int) {
        guard byteCount >= alwaysNew else { return memory.copyMemory(from: source, byteCount: byteCount) }
        let pageMask = UInt(getpagesize()) - 1
        let (start, end) = (UInt(bitPattern: memory), UInt(bitPattern: memory) + UInt(byteCount))
        // Whole pages only: those at the ends are others' as well.
        var populated = (start + pageMask) & ~pageMask
        let lastPage = end & ~pageMask
        _ = madvise(UnsafeMutableRawPointer(bitPattern: populated), Int(lastPage - populated), MADV_HUGEPAGE)
        var copied = start
        while copied < end {
            let next = min(end, (copied & ~UInt(piece - 1)) + UInt(piece))
            let pages = min(next, lastPage)
            if pages > populated {
                _ = madvise(UnsafeMutableRawPointer(bitPattern: populated), Int(pages - populated), populateWrite)
                populated = pages
            }
            let offset = Int(copied - start)
            (memory + offset).copyMemory(from: source + offset, byteCount: Int(next - copied))
            copied = next
        }
    }
}
