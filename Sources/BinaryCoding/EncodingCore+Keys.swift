/// An entry whose key is written and whose value is about to be.
struct BegunEntry {
    let start: Int
    /// Where the earlier entry with the same key begins, -1 for none.
    let replaces: Int
}

extension EncodingCore {
    /// Writes a key into the keyed container `ref`, and reserves `room` bytes behind it.
    func beginEntry(_ ref: EncodingRef, _ string: String, _ int: Int?, room: Int) throws -> BegunEntry {
        try activate(ref)
        let start = writer.count
        try writeKey(string, int, room: room)
        let hash = KeyMemory.hash(writer.base + start, count: writer.count - start)
        guard self[ref.index].keys.insert(hash) || self[ref.index].keys.isCrowded(count: self[ref.index].count) else {
            return BegunEntry(start: start, replaces: -1)
        }
        return BegunEntry(start: start, replaces: lookBack(in: ref.index, from: start))
    }

    /// Writes a key, whether or not it was there before.
    @inline(__always)
    func writeKey(_ string: String, _ int: Int?, room: Int) throws {
        var string = string
        try string.withUTF8 { utf8 in
            if int == nil, utf8.count <= KeyHead.longestShort {
                let memory = try writer.reserve(1 + utf8.count + room)
                memory.storeBytes(of: UInt8(truncatingIfNeeded: utf8.count), as: UInt8.self)
                if let source = utf8.baseAddress { (memory + 1).copyMemory(from: source, byteCount: utf8.count) }
                writer.advance(by: 1 + utf8.count)
            } else {
                try writeOtherKey(UnsafeRawBufferPointer(utf8), int)
                _ = try writer.reserve(room)
            }
        }
    }

    private func writeOtherKey(_ utf8: UnsafeRawBufferPointer, _ int: Int?) throws {
        guard let length = UInt32(exactly: utf8.count) else {
            throw EncodingError.invalidValue(
                utf8.count, .init(codingPath: codingPath(of: recordCount - 1), debugDescription: "a key longer than 4 GiB"))
        }
        if let int {
            let isDecimal = String(int).utf8.elementsEqual(utf8)
            try writer.append(isDecimal ? KeyHead.int : KeyHead.intAndString)
            try writer.append(Int64(int))
            if isDecimal { return }
        } else {
            try writer.append(KeyHead.longString)
        }
        try writer.append(length)
        try writer.append(contentsOf: utf8)
    }

    /// Looks through what the container holds for the key written at `start`. Returns where its entry begins, -1 for none.
    private func lookBack(in index: Int, from start: Int) -> Int {
        let key = UnsafeRawBufferPointer(rebasing: writer.written[start...])
        patchLength(index, upTo: start)
        let source = Source(bytes: UnsafeRawBufferPointer(rebasing: writer.written[..<start]))
        var found = -1
        var hashes = [KeyMemory.hash(writer.base + start, count: writer.count - start)]
        // What this encoder wrote is well formed; if it were not, the decoder would say so.
        if let slot = try? source.slot(at: self[index].start, before: start) {
            var cursor = Cursor(slot)
            while (try? cursor.settle(in: source)) == true, let entry = try? KeyedEntry(at: cursor.position, before: cursor.end, in: source)
            {
                let written = UnsafeRawBufferPointer(rebasing: source.bytes[entry.start..<entry.valueOffset])
                if !entry.isReplaced {
                    if written.elementsEqualInMemory(key) { found = entry.start }
                    hashes.append(KeyMemory.hash(writer.base + entry.start, count: written.count))
                }
                guard let value = try? source.slot(at: entry.valueOffset, before: cursor.end) else { break }
                cursor.position = value.end
            }
        }
        if self[index].keys.isCrowded(count: self[index].count) { self[index].keys.remember(hashes) }
        return found
    }

    /// Makes readers pass over the entry at `start`.
    func markReplaced(_ start: Int) {
        writer.patch(writer.base.load(fromByteOffset: start, as: UInt8.self) | KeyHead.replaced, at: start)
    }
}
