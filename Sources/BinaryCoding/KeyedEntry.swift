/// One entry of a keyed container: the key as written, and where its value begins.
struct KeyedEntry {
    let isReplaced: Bool
    let int: Int?
    /// The bytes of the string, nil for an integer key whose string is its decimal form.
    let string: Range<Int>?
    let start: Int
    let valueOffset: Int

    /// Reads the key at `offset`.
    @inline(__always)
    init(at offset: Int, before limit: Int, in source: Source) throws(Malformed) {
        let head: UInt8 = try source.load(offset, before: limit)
        start = offset
        isReplaced = head & KeyHead.replaced != 0
        let kind = head & ~KeyHead.replaced
        let stringStart: Int
        let length: Int
        if kind <= KeyHead.longestShort {
            int = nil
            stringStart = offset + 1
            length = Int(kind)
        } else if kind == KeyHead.int {
            int = Int(try source.load(offset + 1, before: limit, as: Int64.self))
            string = nil
            valueOffset = offset + 9
            return
        } else if kind == KeyHead.longString {
            int = nil
            length = Int(try source.load(offset + 1, before: limit, as: UInt32.self))
            stringStart = offset + 5
        } else if kind == KeyHead.intAndString {
            int = Int(try source.load(offset + 1, before: limit, as: Int64.self))
            length = Int(try source.load(offset + 9, before: limit, as: UInt32.self))
            stringStart = offset + 13
        } else {
            throw Malformed(offset: offset, reason: "no key begins with this byte")
        }
        guard length <= limit - stringStart else { throw Malformed(offset: offset, reason: "a key reaches past the end") }
        string = stringStart..<stringStart + length
        valueOffset = stringStart + length
    }

    /// Whether this is the entry of `key`: their strings are equal, and so are their integers, where both have one.
    @inline(__always)
    func matches(_ key: some CodingKey, in source: Source) -> Bool {
        guard let string else {
            guard let int else { return false }
            return key.intValue.map { $0 == int } ?? (key.stringValue == String(int))
        }
        if let int, let other = key.intValue, int != other { return false }
        var text = key.stringValue
        return text.withUTF8 { utf8 in
            guard utf8.count == string.count else { return false }
            return UnsafeRawBufferPointer(utf8).elementsEqualInMemory(UnsafeRawBufferPointer(rebasing: source.bytes[string]))
        }
    }

    func stringValue(in source: Source) -> String {
        guard let string else { return String(int ?? 0) }
        return String(decoding: source.bytes[string], as: UTF8.self)
    }

    /// The key for a coding path.
    func pathKey(in source: Source) -> PathKey {
        .key(string == nil ? PlainKey(intValue: int ?? 0) : PlainKey(stringValue: stringValue(in: source)))
    }

    /// The key as a `Key`, nil where that type has no such key.
    func key<Key: CodingKey>(as type: Key.Type, in source: Source) -> Key? {
        if string == nil, let int {
            return Key(intValue: int) ?? Key(stringValue: String(int))
        }
        return Key(stringValue: stringValue(in: source)) ?? int.flatMap { Key(intValue: $0) }
    }
}

extension UnsafeRawBufferPointer {
    /// `memcmp`, without a C library to import.
    @inline(__always)
    func elementsEqualInMemory(_ other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        var place = 0
        while count - place >= 8 {
            if loadUnaligned(fromByteOffset: place, as: UInt64.self) != other.loadUnaligned(fromByteOffset: place, as: UInt64.self) {
                return false
            }
            place += 8
        }
        while place < count {
            if self[place] != other[place] { return false }
            place += 1
        }
        return true
    }
}
