/// Finds entries of one keyed slot. Keys asked for in the order they were written in, the usual case, are found at once.
struct KeyLookup {
    private let slot: Slot
    /// Where the entry behind the last one found begins.
    private var cursor: Cursor
    /// Entries passed in vain so far.
    private var passed = 0
    /// Where each key's entry is, once it has paid to build it: asking a large container for all its keys in a random order must not take
    /// time by the square of its size.
    private var index: [String: Found]?

    struct Found {
        let slot: Slot
        /// Stands behind the entry.
        let after: Cursor
    }

    init(_ slot: Slot) {
        self.slot = slot
        cursor = Cursor(slot)
    }

    /// The entry of `key`, nil for none. The cursor does not move.
    mutating func find(_ key: some CodingKey, in source: Source) throws(Malformed) -> Found? {
        var at = cursor
        if let entry = try next(&at, in: source), entry.matches(key, in: source) { return try found(entry, at, in: source) }
        if passed > 256 { return try findByIndex(key, in: source) }
        at = Cursor(slot)
        while let entry = try next(&at, in: source) {
            if entry.matches(key, in: source) { return try found(entry, at, in: source) }
            at.position = try source.slot(at: entry.valueOffset, before: at.end).end
            passed += 1
        }
        return nil
    }

    mutating func move(behind found: Found) { cursor = found.after }

    /// All entries, in the order they were written in.
    func forEach(in source: Source, _ body: (KeyedEntry) -> Void) throws(Malformed) {
        var at = Cursor(slot)
        while let entry = try next(&at, in: source) {
            body(entry)
            at.position = try source.slot(at: entry.valueOffset, before: at.end).end
        }
    }

    /// The entry at the cursor or the first one behind it that is still valid. The cursor is left at its key.
    private func next(_ at: inout Cursor, in source: Source) throws(Malformed) -> KeyedEntry? {
        while try at.settle(in: source) {
            let entry = try KeyedEntry(at: at.position, before: at.end, in: source)
            if !entry.isReplaced { return entry }
            at.position = try source.slot(at: entry.valueOffset, before: at.end).end
        }
        return nil
    }

    private func found(_ entry: KeyedEntry, _ at: Cursor, in source: Source) throws(Malformed) -> Found {
        let value = try source.slot(at: entry.valueOffset, before: at.end)
        var after = at
        after.position = value.end
        return Found(slot: value, after: after)
    }

    private mutating func findByIndex(_ key: some CodingKey, in source: Source) throws(Malformed) -> Found? {
        if index == nil {
            var made: [String: Found] = [:]
            var at = Cursor(slot)
            while let entry = try next(&at, in: source) {
                let entryFound = try found(entry, at, in: source)
                let name = entry.stringValue(in: source)
                // As without an index, the first of several wins.
                if made[name] == nil { made[name] = entryFound }
                at = entryFound.after
            }
            index = made
        }
        return index?[key.stringValue]
    }
}
