import Synchronization

/// The readers of a ``SharedReadWriteLock``: a word each, on cache lines by thread, so that readers on many cores do not write to the same one.
struct ReaderPlaces {
    private static let lines = 64
    private static let placesInLine = 8
    static let capacity = lines * placesInLine
    /// What they take; all zero when new.
    static let size = capacity * 8

    let offset: Int
    let arena: Arena

    private func word(_ index: Int) -> ObjectWord { arena.word(offset + index * 8) }

    func load(_ index: Int) -> ReaderPlace { ReaderPlace(rawValue: word(index).pointee.load(ordering: .sequentiallyConsistent)) }
    func store(_ index: Int, _ place: ReaderPlace) { word(index).pointee.store(place.rawValue, ordering: .sequentiallyConsistent) }

    /// Takes a free place for a reader. Threads begin at different lines, and mostly find their first place free.
    /// - Returns: nil when all are taken.
    func take(_ token: UInt32) -> Int? {
        // Records are handed out from the lowest on, so the low bits spread threads best.
        let first = Int(token) % Self.lines * Self.placesInLine
        for step in 0..<Self.capacity {
            let index = (first + step) % Self.capacity
            if word(index).pointee.compareExchange(
                expected: 0, desired: ReaderPlace(token).rawValue, ordering: .sequentiallyConsistent
            ).exchanged {
                return index
            }
        }
        return nil
    }

    /// Whether a writer of `phase` has to wait for a living reader.
    func precede(writerOf phase: UInt32) -> Bool {
        (0..<Self.capacity).contains {
            let place = load($0)
            return place.precedes(writerOf: phase) && ThreadRecords.isLive(place.token, in: arena)
        }
    }

    /// Whether the thread of `token` has a place other than `own`.
    func contain(_ token: UInt32, except own: Int? = nil) -> Bool { (0..<Self.capacity).contains { $0 != own && load($0).token == token } }

    /// Frees the places of threads that have ended. It can be repeated.
    func freeThoseOfTheDead() {
        for index in 0..<Self.capacity {
            let place = load(index)
            if place != .free, !ThreadRecords.isLive(place.token, in: arena) {
                _ = word(index).pointee.compareExchange(expected: place.rawValue, desired: 0, ordering: .sequentiallyConsistent)
            }
        }
    }
}
