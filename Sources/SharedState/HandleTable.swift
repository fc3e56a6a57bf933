/// How many handles a process has to each object: numbers by offset, open addressing, as every object that passes by is looked up here twice.
struct HandleTable {
    // Pairs of an offset, 0 for none, and a number. At most half of them are used.
    private var entries: UnsafeMutablePointer<(offset: Int, count: Int)>
    private var capacity: Int
    private var used = 0

    init() {
        capacity = 64
        entries = Self.make(capacity)
    }

    private static func make(_ capacity: Int) -> UnsafeMutablePointer<(offset: Int, count: Int)> {
        let entries = UnsafeMutablePointer<(offset: Int, count: Int)>.allocate(capacity: capacity)
        entries.initialize(repeating: (0, 0), count: capacity)
        return entries
    }

    /// Where the search for `offset` begins.
    @inline(__always)
    private func home(_ offset: Int) -> Int {
        // Offsets are multiples of 64. Fibonacci hashing spreads those of neighbouring objects.
        Int(truncatingIfNeeded: (UInt64(truncatingIfNeeded: offset) &* 0x9E37_79B9_7F4A_7C15) >> 32) & (capacity - 1)
    }

    /// The place of `offset`, or the free one where it would be.
    @inline(__always)
    private func place(_ offset: Int) -> Int {
        var place = home(offset)
        while entries[place].offset != offset, entries[place].offset != 0 { place = (place + 1) & (capacity - 1) }
        return place
    }

    /// Counts one more handle. Returns whether it is the first.
    mutating func increment(_ offset: Int) -> Bool {
        var place = place(offset)
        if entries[place].offset == offset {
            entries[place].count += 1
            return false
        }
        if 2 * (used + 1) > capacity {
            grow()
            place = self.place(offset)
        }
        entries[place] = (offset, 1)
        used += 1
        return true
    }

    /// Counts one handle less. Returns whether it was the last.
    mutating func decrement(_ offset: Int) -> Bool {
        let place = place(offset)
        guard entries[place].offset == offset else { return false }
        entries[place].count -= 1
        if entries[place].count > 0 { return false }
        remove(place)
        return true
    }

    /// How many handles there are.
    func count(_ offset: Int) -> Int { entries[place(offset)].count }

    /// Those behind a free place that the search for them would end at move up to it.
    private mutating func remove(_ place: Int) {
        var free = place
        var next = (free + 1) & (capacity - 1)
        while entries[next].offset != 0 {
            let distance = (next - home(entries[next].offset)) & (capacity - 1)
            if distance >= (next - free) & (capacity - 1) {
                entries[free] = entries[next]
                free = next
            }
            next = (next + 1) & (capacity - 1)
        }
        entries[free] = (0, 0)
        used -= 1
    }

    private mutating func grow() {
        let (old, oldCapacity) = (entries, capacity)
        capacity *= 2
        entries = Self.make(capacity)
        for i in 0..<oldCapacity where old[i].offset != 0 { entries[place(old[i].offset)] = old[i] }
        old.deallocate()
    }

    /// The objects to which there are handles.
    func forEach(_ body: (Int) -> Void) {
        for i in 0..<capacity where entries[i].offset != 0 { body(entries[i].offset) }
    }
}
