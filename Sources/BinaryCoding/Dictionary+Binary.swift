// Only keys that are strings or integers: those make keyed containers, all others are written by Dictionary's own conformance.

extension Dictionary: CompositeEncodable where Key: Encodable, Value: Encodable {
    static func encodeLeaf<Same>(_ value: Same, to writer: ByteWriter) throws -> Bool { false }

    static func encode<Same>(_ value: Same, to core: EncodingCore, in parent: Int, key: PathKey) throws {
        let dictionary = unsafeBitCast(value, to: Self.self)
        guard Key.self == String.self || Key.self == Int.self else {
            return try core.encodeByItself(dictionary, in: parent, key: key)
        }
        let plan = TypePlan.of(Value.self)
        try core.withFrame(in: parent, key: key, of: dictionary, contents: .keyed) { index in
            try core.writer.append(Head.word(Tag.keyed, length: 0))
            for (key, value) in dictionary {
                // No key comes twice, so there is no looking back for one.
                if Key.self == String.self {
                    let string = unsafeBitCast(key, to: String.self)
                    try core.writeKey(string, nil, room: 1 + plan.pointee.size)
                    try core.encode(value, plan: plan, in: index, key: .key(PlainKey(stringValue: string)))
                } else {
                    let int = unsafeBitCast(key, to: Int.self)
                    try core.writer.append(KeyHead.int)
                    try core.writer.append(Int64(int))
                    try core.encode(value, plan: plan, in: index, key: .key(PlainKey(intValue: int)))
                }
            }
        }
    }
}

extension Dictionary: CompositeDecodable where Key: Decodable, Value: Decodable {
    static var runsUsersCode: Bool { true }

    static func decode<Same>(as type: Same.Type, from slot: Slot, in core: DecodingCore, parent: BinaryDecoder?, key: PathKey) throws
        -> Same
    {
        let decoder = try core.child(slot, of: parent, key: key)
        guard Key.self == String.self || Key.self == Int.self else { return unsafeBitCast(try Self(from: decoder), to: Same.self) }
        guard slot.tag == Tag.keyed || slot.tag == Tag.nestedKeyed || slot.isEmpty else {
            throw core.mismatch(Self.self, slot, parent: parent, key: key)
        }
        let plan = TypePlan.of(Value.self)
        var dictionary: Self = [:]
        var cursor = Cursor(slot)
        while true {
            let next = try decoder.located { () throws(Malformed) -> (KeyedEntry, Slot)? in
                guard try cursor.settle(in: core.source) else { return nil }
                let entry = try KeyedEntry(at: cursor.position, before: cursor.end, in: core.source)
                let value = try core.source.slot(at: entry.valueOffset, before: cursor.end)
                cursor.position = value.end
                return (entry, value)
            }
            guard let (entry, value) = next else { break }
            if entry.isReplaced { continue }
            let typedKey: Key
            if Key.self == String.self {
                let string = entry.stringValue(in: core.source)
                typedKey = unsafeBitCast(string, to: Key.self)
            } else {
                guard let int = entry.int ?? Int(entry.stringValue(in: core.source)) else {
                    throw decoder.corrupted("the key \"\(entry.stringValue(in: core.source))\" is no integer", nil)
                }
                typedKey = unsafeBitCast(int, to: Key.self)
            }
            // Of several entries with one key the first counts, as it does where containers look keys up.
            let decoded = try core.decode(Value.self, plan: plan, from: value, parent: decoder, key: entry.pathKey(in: core.source))
            if let first = dictionary.updateValue(decoded, forKey: typedKey) { dictionary.updateValue(first, forKey: typedKey) }
        }
        return unsafeBitCast(dictionary, to: Same.self)
    }
}
