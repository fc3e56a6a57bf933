/// Reads values by their keys.
struct KeyedDecoder<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let decoder: BinaryDecoder

    init(_ decoder: BinaryDecoder) throws {
        try decoder.check()
        let slot = decoder.slot
        guard slot.tag == Tag.keyed || slot.tag == Tag.nestedKeyed || slot.isEmpty else {
            throw decoder.core.mismatch([String: any Decodable].self, slot, parent: decoder.parent, key: decoder.key)
        }
        self.decoder = decoder
        if decoder.lookup == nil { decoder.lookup = KeyLookup(slot) }
    }

    var codingPath: [any CodingKey] { decoder.codingPath }

    var allKeys: [Key] {
        var keys: [Key] = []
        let source = decoder.core.source
        // Cannot throw: keys in front of malformed bytes are given, reading the rest says what is wrong.
        try? decoder.lookup?.forEach(in: source) { entry in
            if let key = entry.key(as: Key.self, in: source) { keys.append(key) }
        }
        return keys
    }

    @inline(__always)
    private func find(_ key: some CodingKey) throws -> KeyLookup.Found? {
        try decoder.check()
        return try decoder.located { () throws(Malformed) in try decoder.lookup?.find(key, in: decoder.core.source) }
    }

    private func existing(_ key: some CodingKey) throws -> KeyLookup.Found {
        if let found = try find(key) { return found }
        throw DecodingError.keyNotFound(key, .init(codingPath: codingPath, debugDescription: "no value for key \"\(key.stringValue)\""))
    }

    // A malformed container "contains" every key, so that the error appears where the value is read.
    func contains(_ key: Key) -> Bool { (try? find(key) != nil) ?? true }

    func decodeNil(forKey key: Key) throws -> Bool { try existing(key).slot.isNull }

    @inline(__always)
    private func scalar<S: RawElement>(_ type: S.Type, _ key: Key) throws -> S {
        let found = try existing(key)
        let value = try decoder.core.decodeScalar(S.self, from: found.slot, parent: decoder, key: .key(key))
        decoder.lookup?.move(behind: found)
        return value
    }

    func decode(_ type: String.Type, forKey key: Key) throws -> String {
        let found = try existing(key)
        let value = try decoder.core.decodeString(from: found.slot, parent: decoder, key: .key(key))
        decoder.lookup?.move(behind: found)
        return value
    }
    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try scalar(type, key) }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try scalar(type, key) }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try scalar(type, key) }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try scalar(type, key) }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try scalar(type, key) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try scalar(type, key) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try scalar(type, key) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try scalar(type, key) }
    func decode(_ type: Int128.Type, forKey key: Key) throws -> Int128 { try scalar(type, key) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try scalar(type, key) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try scalar(type, key) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try scalar(type, key) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try scalar(type, key) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try scalar(type, key) }
    func decode(_ type: UInt128.Type, forKey key: Key) throws -> UInt128 { try scalar(type, key) }

    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
        let found = try existing(key)
        let value = try decoder.core.decode(type, plan: TypePlan.of(T.self), from: found.slot, parent: decoder, key: .key(key))
        decoder.lookup?.move(behind: found)
        return value
    }

    func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? {
        guard let found = try find(key) else { return nil }
        let value: T?
        if found.slot.tag == Tag.null {
            value = nil
        } else {
            let slot = try decoder.core.unwrapped(found.slot)
            value = try decoder.core.decode(type, plan: TypePlan.of(T.self), from: slot, parent: decoder, key: .key(key))
        }
        decoder.lookup?.move(behind: found)
        return value
    }

    private func child(_ key: some CodingKey) throws -> BinaryDecoder {
        let found = try existing(key)
        let inner = try decoder.core.child(found.slot, of: decoder, key: .key(key))
        decoder.lookup?.move(behind: found)
        return inner
    }

    func nestedContainer<NestedKey: CodingKey>(keyedBy type: NestedKey.Type, forKey key: Key) throws -> KeyedDecodingContainer<NestedKey> {
        try child(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { try child(key).unkeyedContainer() }

    // A superclass that encoded nothing, without asking for a super encoder, is found empty, as in Foundation's decoders.
    func superDecoder() throws -> any Decoder { try superDecoder(PlainKey.superclass) }

    func superDecoder(forKey key: Key) throws -> any Decoder { try superDecoder(key) }

    private func superDecoder(_ key: some CodingKey) throws -> any Decoder {
        if try find(key) != nil { return try child(key) }
        let nothing = Slot(tag: Tag.null, payload: 0, payloadEnd: 0, head: 0)
        return try decoder.core.child(nothing, of: decoder, key: .key(key))
    }
}
