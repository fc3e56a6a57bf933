import Synchronization

/// Blocks: claimed and freed by one compare-and-swap each, on a word that names the owner, so that what a dead process held can be found and reclaimed.
/// The room's README argues why no death between two steps can lose a block or hand one out twice.
extension Arena {
    /// Memory for `size` bytes, at a multiple of 64, owned by the calling process until ``free(_:)``. Its contents are whatever was there.
    ///
    /// Does not block. Takes a few ten nanoseconds for small sizes; from 32 KiB on 10 ns for each 64 KiB, where the process's last block of that size is free
    /// again, and otherwise time grows with the number of blocks in use.
    /// - Returns: its offset in the arena.
    /// - Throws: ``SharedMemoryError`` when memory has run out.
    package func allocate(_ size: Int) throws -> Int {
        let owner = CurrentProcess.identity(in: self)
        if let sizeClass = ArenaLayout.sizeClass(for: size) { return try allocateSmall(sizeClass, for: owner) }
        return try allocateLarge((size + ArenaLayout.granuleSize - 1) / ArenaLayout.granuleSize, for: owner)
    }

    /// Frees a block that belongs to the calling process.
    package func free(_ offset: Int) {
        guard let word = blockWord(at: offset) else { preconditionFailure("no block at offset \(offset) of the arena") }
        release(word, at: offset, expecting: BlockWord(rawValue: word.pointee.load(ordering: .relaxed)))
    }

    /// Makes a block that another process has handed over the calling process's own, so that it outlives the other.
    package func adopt(_ offset: Int) { give(offset, to: CurrentProcess.identity(in: self)) }

    /// Makes a block `owner`'s. Only for who may speak for both: for the one that has it, and for the one that gets it.
    func give(_ offset: Int, to owner: ProcessIdentity) {
        guard let word = blockWord(at: offset) else { preconditionFailure("no block at offset \(offset) of the arena") }
        let current = BlockWord(rawValue: word.pointee.load(ordering: .relaxed))
        word.pointee.store(current.changed(to: .owned, owner: owner).rawValue, ordering: .releasing)
    }

    /// How many bytes the block at `offset` holds, or nil where no block begins.
    package func capacity(ofBlockAt offset: Int) -> Int? {
        guard let word = blockWord(at: offset) else { return nil }
        let kind = BlockWord(rawValue: word.pointee.load(ordering: .acquiring)).kind
        guard kind == .owned || kind == .object else { return nil }
        let granule = (offset - firstGranule) / ArenaLayout.granuleSize
        let state = BlockWord(rawValue: granuleWord(granule).pointee.load(ordering: .acquiring))
        if state.kind == .small { return ArenaLayout.smallSizes[state.sizeClass] }
        return (bodyEnd(ofGranule: granule) - granule) * ArenaLayout.granuleSize
    }

    /// The word that describes the block at `offset`; nil for an offset where no block can begin. The offset may be anything.
    func blockWord(at offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>>? {
        guard offset >= firstGranule, offset < firstGranule + committedGranules * ArenaLayout.granuleSize else { return nil }
        let granule = (offset - firstGranule) / ArenaLayout.granuleSize
        let inside = (offset - firstGranule) % ArenaLayout.granuleSize
        let state = BlockWord(rawValue: granuleWord(granule).pointee.load(ordering: .acquiring))
        guard state.kind == .small else { return inside == 0 ? granuleWord(granule) : nil }
        guard state.sizeClass < ArenaLayout.smallSizes.count else { return nil }
        let blocks = ArenaLayout.smallBlocks(ofClass: state.sizeClass)
        let (index, rest) = (inside - blocks.first).quotientAndRemainder(dividingBy: blocks.size)
        guard inside >= blocks.first, rest == 0, index < blocks.count else { return nil }
        return word(self.offset(ofGranule: granule) + index * 8)
    }

    /// Frees the block if its word still says `expected`.
    @discardableResult
    func release(_ word: UnsafeMutablePointer<Atomic<UInt64>>, at offset: Int, expecting expected: BlockWord) -> Bool {
        let granule = (offset - firstGranule) / ArenaLayout.granuleSize
        if granuleWord(granule) != word {
            return word.pointee.compareExchange(
                expected: expected.rawValue, desired: expected.changed(to: .free).rawValue, ordering: .acquiringAndReleasing
            ).exchanged
        }
        // A large block goes in several steps: it is claimed for that by whoever frees it.
        let claimed = expected.changed(to: .claimed, owner: CurrentProcess.identity(in: self))
        guard
            word.pointee.compareExchange(
                expected: expected.rawValue, desired: claimed.rawValue, ordering: .acquiringAndReleasing
            ).exchanged
        else { return false }
        releaseClaimed(granule: granule, claimed)
        return true
    }

    // MARK: Small blocks

    private func allocateSmall(_ sizeClass: Int, for owner: ProcessIdentity) throws -> Int {
        let blocks = ArenaLayout.smallBlocks(ofClass: sizeClass)
        let state = BlockWord.small(sizeClass: sizeClass).rawValue
        while true {
            // Start where this process last found room, so that processes keep to granules of their own.
            let committed = committedGranules
            let start = AllocationHints.granule(forClass: sizeClass)
            for step in 0..<committed {
                let granule = (start + step) % committed
                guard granuleWord(granule).pointee.load(ordering: .acquiring) == state else { continue }
                if let index = claimBlock(inGranule: granule, count: blocks.count, sizeClass: sizeClass, for: owner) {
                    AllocationHints.remember(granule: granule, forClass: sizeClass)
                    return offset(ofGranule: granule) + blocks.first + index * blocks.size
                }
            }
            let granule = try claimRun(1, for: owner)
            (base + offset(ofGranule: granule)).initializeMemory(as: UInt64.self, repeating: 0, count: blocks.count)
            granuleWord(granule).pointee.store(state, ordering: .releasing)
            AllocationHints.remember(granule: granule, forClass: sizeClass)
        }
    }

    private func claimBlock(inGranule granule: Int, count: Int, sizeClass: Int, for owner: ProcessIdentity) -> Int? {
        let first = AllocationHints.block(inGranule: granule, ofClass: sizeClass)
        for step in 0..<count {
            let index = (first + step) % count
            let word = word(offset(ofGranule: granule) + index * 8)
            let current = BlockWord(rawValue: word.pointee.load(ordering: .relaxed))
            guard current.kind == .free else { continue }
            if word.pointee.compareExchange(
                expected: current.rawValue, desired: current.changed(to: .owned, owner: owner).rawValue, ordering: .acquiringAndReleasing
            ).exchanged {
                AllocationHints.remember(block: index + 1, inGranule: granule, ofClass: sizeClass)
                return index
            }
        }
        return nil
    }

    // MARK: Large blocks

    private func allocateLarge(_ granules: Int, for owner: ProcessIdentity) throws -> Int {
        let head = try claimRun(granules, for: owner)
        let claimed = BlockWord(rawValue: granuleWord(head).pointee.load(ordering: .relaxed))
        granuleWord(head).pointee.store(claimed.changed(to: .owned, owner: owner).rawValue, ordering: .releasing)
        PageTable.prepare(granules: head..<head + granules, in: self)
        return offset(ofGranule: head)
    }

    /// Claims `count` granules in a row: those where this process had its last block of the size, or what is free behind them, then any others that have been
    /// used before, as their pages are warm, and only then new ones.
    private func claimRun(_ count: Int, for owner: ProcessIdentity) throws -> Int {
        while true {
            let committed = committedGranules
            let hint = AllocationHints.run(ofGranules: count)
            var head = claimFreeRun(count, in: min(hint, committed)..<committed, for: owner).claimed
            if head == nil {
                let found = claimFreeRun(count, in: 0..<committed, for: owner)
                head = found.claimed
                if head == nil {
                    // Some free granules lie at the end of what is committed: only the rest is new.
                    let end = committed - found.freeAtEnd
                    try commit(granules: end + count)
                    if claim(from: end, count, for: owner) { head = end }
                }
            }
            if let head {
                AllocationHints.remember(run: head, ofGranules: count)
                return head
            }
        }
    }

    private func claimFreeRun(_ count: Int, in range: Range<Int>, for owner: ProcessIdentity) -> (claimed: Int?, freeAtEnd: Int) {
        var run = 0
        for granule in range {
            run = isFree(granule) ? run + 1 : 0
            if run == count {
                let head = granule + 1 - count
                if claim(from: head, count, for: owner) { return (head, 0) }
                run = 0
            }
        }
        return (nil, run)
    }

    /// The first granule is claimed, then the others upwards, each pointing back to it: at any moment those that point to it follow it without a gap.
    private func claim(from head: Int, _ count: Int, for owner: ProcessIdentity) -> Bool {
        let word = granuleWord(head)
        let current = BlockWord(rawValue: word.pointee.load(ordering: .relaxed))
        let claimed = current.changed(to: .claimed, owner: owner)
        guard current.kind == .free,
            word.pointee.compareExchange(expected: current.rawValue, desired: claimed.rawValue, ordering: .acquiringAndReleasing).exchanged
        else { return false }
        for granule in head + 1..<head + count where !claimBody(granule, of: head) {
            releaseClaimed(granule: head, claimed)
            return false
        }
        return true
    }

    /// Makes a free granule a further one of the block at `head`, which is the calling process's.
    func claimBody(_ granule: Int, of head: Int) -> Bool {
        let word = granuleWord(granule)
        let current = BlockWord(rawValue: word.pointee.load(ordering: .relaxed))
        guard current.kind == .free else { return false }
        return word.pointee.compareExchange(
            expected: current.rawValue, desired: current.asBody(ofGranule: head).rawValue, ordering: .acquiringAndReleasing
        ).exchanged
    }

    /// Undoes ``claimBody(_:of:)``.
    func freeBody(_ granule: Int) {
        let word = granuleWord(granule)
        let body = BlockWord(rawValue: word.pointee.load(ordering: .relaxed))
        word.pointee.store(body.freedBody.rawValue, ordering: .releasing)
    }

    /// Undoes what ``claim(from:_:for:)`` did, in the opposite order, so that whoever finishes it after a death finds the same picture.
    func releaseClaimed(granule head: Int, _ claimed: BlockWord) {
        for granule in (head + 1..<bodyEnd(ofGranule: head)).reversed() { freeBody(granule) }
        granuleWord(head).pointee.store(claimed.changed(to: .free).rawValue, ordering: .releasing)
    }

    /// The granule behind the last one that points back to `head`.
    func bodyEnd(ofGranule head: Int) -> Int {
        var end = head + 1
        while end < granuleCount, BlockWord(rawValue: granuleWord(end).pointee.load(ordering: .acquiring)).isBody(ofGranule: head) {
            end += 1
        }
        return end
    }
}

/// Where this process last found room: only hints, so races between threads cost a longer search and nothing else.
enum AllocationHints {
    // Atomic for the sake of the language: each is read and written by itself.
    private nonisolated(unsafe) static let granules: UnsafeMutablePointer<Atomic<Int>> = zeros()
    private nonisolated(unsafe) static let blocks: UnsafeMutablePointer<Atomic<Int>> = zeros()
    /// Of large blocks, by the number of binary digits of their number of granules.
    private nonisolated(unsafe) static let runs: UnsafeMutablePointer<Atomic<Int>> = zeros()

    private static func zeros() -> UnsafeMutablePointer<Atomic<Int>> {
        let count = max(ArenaLayout.smallSizes.count, Int.bitWidth + 1)
        let hints = UnsafeMutablePointer<Atomic<Int>>.allocate(capacity: count)
        for i in 0..<count { (hints + i).initialize(to: Atomic(0)) }
        return hints
    }

    static func run(ofGranules count: Int) -> Int { runs[Int.bitWidth - count.leadingZeroBitCount].load(ordering: .relaxed) }
    static func remember(run head: Int, ofGranules count: Int) {
        runs[Int.bitWidth - count.leadingZeroBitCount].store(head, ordering: .relaxed)
    }

    static func granule(forClass sizeClass: Int) -> Int { granules[sizeClass].load(ordering: .relaxed) }

    static func remember(granule: Int, forClass sizeClass: Int) {
        if granules[sizeClass].exchange(granule, ordering: .relaxed) != granule { blocks[sizeClass].store(0, ordering: .relaxed) }
    }

    static func block(inGranule granule: Int, ofClass sizeClass: Int) -> Int {
        granules[sizeClass].load(ordering: .relaxed) == granule ? blocks[sizeClass].load(ordering: .relaxed) : 0
    }

    static func remember(block: Int, inGranule granule: Int, ofClass sizeClass: Int) { blocks[sizeClass].store(block, ordering: .relaxed) }
}
