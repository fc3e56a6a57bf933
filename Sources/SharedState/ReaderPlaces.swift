import Synchronization

/// The readers of a ``SharedReadWriteLock``: a word each, on cache lines by thread, so that readers on many cores do not write to the same one.
///
/// Which of the lines have ever been used is in one word, and writers look at these alone: with four threads about, at four lines and not at 64.
struct ReaderPlaces: @unchecked Sendable {
    // Unchecked: the words are only used atomically.
    private static let lines = 64
    private static let placesInLine = 8
    static let capacity = lines * placesInLine
    /// What they take; all zero when new.
    static let size = capacity * 8

    /// A bit for each line, set before the first of its places is taken, for good.
    private let usedLines: ObjectWord
    private let first: ObjectWord
    private let arena: Arena

    /// - Parameter offset: a multiple of 64.
    init(at offset: Int, usedLines: Int, in arena: Arena) {
        self.usedLines = arena.word(usedLines)
        self.arena = arena
        first = arena.word(offset)
    }

    private func word(_ index: Int) -> ObjectWord { first + index }

    func load(_ index: Int) -> ReaderPlace { ReaderPlace(rawValue: word(index).pointee.load(ordering: .sequentiallyConsistent)) }

    /// Changes what its own reader has there.
    func store(_ index: Int, _ place: ReaderPlace) { word(index).pointee.store(place.rawValue, ordering: .sequentiallyConsistent) }

    /// A plain store: the processor may still have it for itself when it goes on.
    func free(_ index: Int) { word(index).pointee.store(0, ordering: .releasing) }

    /// Takes a free place for a reader. Threads begin at different lines, and mostly find their first place free: then it is one compare-and-swap.
    /// - Returns: nil when all are taken.
    func take(_ token: UInt32) -> Int? {
        // Records are handed out from the lowest on, so the low bits spread threads best.
        let line = Int(token) & (Self.lines - 1)
        let index = line * Self.placesInLine
        return isUsed(line: line) && take(index, token) ? index : search(from: index, token)
    }

    private func isUsed(line: Int) -> Bool { usedLines.pointee.load(ordering: .acquiring) & 1 << UInt64(line) != 0 }

    private func use(line: Int) {
        if !isUsed(line: line) { usedLines.pointee.bitwiseOr(1 << UInt64(line), ordering: .sequentiallyConsistent) }
    }

    private func take(_ index: Int, _ token: UInt32) -> Bool {
        word(index).pointee.compareExchange(expected: 0, desired: ReaderPlace(token).rawValue, ordering: .sequentiallyConsistent).exchanged
    }

    @inline(never)
    private func search(from first: Int, _ token: UInt32) -> Int? {
        for step in 0..<Self.capacity {
            let index = (first + step) % Self.capacity
            if step % Self.placesInLine == 0 { use(line: index / Self.placesInLine) }
            if take(index, token) { return index }
        }
        return nil
    }

    /// The first place that is not free and of which `predicate` is true.
    @inline(__always)
    private func first(where predicate: (_ index: Int, _ place: ReaderPlace) throws -> Bool) rethrows -> Int? {
        var lines = usedLines.pointee.load(ordering: .sequentiallyConsistent)
        while lines != 0 {
            let start = lines.trailingZeroBitCount &* Self.placesInLine
            lines &= lines &- 1
            for index in start..<start &+ Self.placesInLine {
                let place = load(index)
                if try place != .free && predicate(index, place) { return index }
            }
        }
        return nil
    }

    var areFree: Bool { first { _, _ in true } == nil }

    /// Whether a writer of `phase` has to wait for a living reader.
    func precede(writerOf phase: UInt32) -> Bool {
        first { _, place in place.precedes(writerOf: phase) && ThreadRecords.isLive(place.token, in: arena) } != nil
    }

    /// Whether the thread of `token` has a place other than `own`.
    func contain(_ token: UInt32, except own: Int? = nil) -> Bool { first { index, place in index != own && place.token == token } != nil }

    /// Frees the places of threads that have ended. It can be repeated.
    func freeThoseOfTheDead() {
        _ = first { index, place in
            if !ThreadRecords.isLive(place.token, in: arena) {
                _ = word(index).pointee.compareExchange(expected: place.rawValue, desired: 0, ordering: .sequentiallyConsistent)
            }
            return false
        }
    }
}
