import Synchronization

/// Blocks that grow where they are, so that what has been written to them need not be copied.
extension Arena {
    /// Makes a large block of the calling process hold `size` bytes, if the granules behind it are free. Its contents stay, and so does its place.
    ///
    /// Does not block. Takes 10 ns for each 64 KiB.
    /// - Returns: false when it stays as it is: a small block, or one with another behind it, or with nothing behind it while there is room elsewhere, or when memory has
    ///   run out.
    package func grow(_ offset: Int, to size: Int) -> Bool {
        let head = (offset - firstGranule) / ArenaLayout.granuleSize
        guard BlockWord(rawValue: granuleWord(head).pointee.load(ordering: .relaxed)).kind == .owned else { return false }
        let end = bodyEnd(ofGranule: head)
        let newEnd = head + (size + ArenaLayout.granuleSize - 1) / ArenaLayout.granuleSize
        // Before anything is claimed, or memory taken for nothing. What changes meanwhile is noticed below.
        for granule in end..<max(end, min(newEnd, committedGranules)) where !isFree(granule) { return false }
        // At the end of what is committed there is always room: whoever went on there would never come back to what is free before.
        if newEnd > committedGranules, hasFreeRun(ofGranules: newEnd - head) { return false }
        do { try commit(granules: newEnd) } catch { return false }
        // Upwards, as in claiming: at any moment the bodies follow the head without a gap, and it says whose they are.
        for granule in end..<max(end, newEnd) where !claimBody(granule, of: head) {
            for claimed in (end..<granule).reversed() { freeBody(claimed) }
            return false
        }
        PageTable.prepare(granules: end..<max(end, newEnd), in: self)
        return true
    }

    /// Memory for at least `minimumCapacity` bytes that begins with `written`: the block that holds it, grown, or a new one, for which the old one is freed.
    /// - Parameter block: 0 where what was written is in no block.
    /// - Throws: ``SharedMemoryError`` when memory has run out; then the block stays.
    package func enlarge(
        _ block: Int, holding written: UnsafeRawBufferPointer, capacity: Int, to minimumCapacity: Int
    ) throws -> (block: Int, memory: UnsafeMutableRawBufferPointer) {
        let size = max(minimumCapacity, 2 * capacity)
        // Where it is, as long as that can be: what is there already is copied only if it has to move.
        if block != 0, grow(block, to: size) { return (block, memory(ofBlockAt: block, size)) }
        // Twice as much is for speed: near the limit, what is needed will do.
        let larger = try (try? allocate(size)) ?? allocate(minimumCapacity)
        let memory = memory(ofBlockAt: larger, minimumCapacity)
        memory.copyMemory(from: written)
        if block != 0 { free(block) }
        // The next that grows begins where this one has found room.
        AllocationHints.remember(run: (larger - firstGranule) / ArenaLayout.granuleSize, ofGranules: 1)
        return (larger, memory)
    }

    private func memory(ofBlockAt offset: Int, _ size: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: base + offset, count: capacity(ofBlockAt: offset) ?? size)
    }

    private func hasFreeRun(ofGranules count: Int) -> Bool {
        var run = 0
        for granule in 0..<committedGranules {
            run = isFree(granule) ? run + 1 : 0
            if run == count { return true }
        }
        return false
    }

    func isFree(_ granule: Int) -> Bool {
        BlockWord(rawValue: granuleWord(granule).pointee.load(ordering: .acquiring)).kind == .free
    }
}
