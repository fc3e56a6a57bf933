/// Reads values one after the other: those of an unkeyed container, or of an array that was written as raw bytes.
struct UnkeyedDecoder: UnkeyedDecodingContainer {
    private enum Elements {
        case slots(Cursor)
        case raw(RawArrayLayout)
    }

    let decoder: BinaryDecoder
    private(set) var currentIndex = 0
    private var elements: Elements

    init(_ decoder: BinaryDecoder, type: any Any.Type) throws {
        try decoder.check()
        let slot = decoder.slot
        self.decoder = decoder
        switch slot.tag {
        case Tag.unkeyed, Tag.nestedUnkeyed, Tag.empty, Tag.nestedEmpty: elements = .slots(Cursor(slot))
        case Tag.rawArray:
            elements = .raw(try decoder.located { () throws(Malformed) in try RawArrayLayout(slot, in: decoder.core.source) })
        default: throw decoder.core.mismatch(type, slot, parent: decoder.parent, key: decoder.key)
        }
    }

    var codingPath: [any CodingKey] { decoder.codingPath }

    /// Whether another value follows.
    mutating func hasMore() throws -> Bool {
        try decoder.check()
        switch elements {
        case .raw(let layout): return currentIndex < layout.count
        case .slots(var cursor):
            let more = try decoder.located { () throws(Malformed) in try cursor.settle(in: decoder.core.source) }
            elements = .slots(cursor)
            return more
        }
    }

    /// How many values follow, found by walking over them.
    func remainingCount() throws -> Int {
        try decoder.check()
        switch elements {
        case .raw(let layout): return layout.count - currentIndex
        case .slots(var cursor):
            return try decoder.located { () throws(Malformed) in
                var count = 0
                while try cursor.settle(in: decoder.core.source) {
                    cursor.position = try decoder.core.source.slot(at: cursor.position, before: cursor.end).end
                    count += 1
                }
                return count
            }
        }
    }

    var count: Int? { (try? remainingCount()).map { currentIndex + $0 } }

    var isAtEnd: Bool {
        var ahead = self
        // Malformed bytes are not the end: the next read says what is wrong with them.
        do { return try !ahead.hasMore() } catch { return false }
    }

    private mutating func slot(for type: any Any.Type) throws -> Slot {
        guard try hasMore() else {
            throw DecodingError.valueNotFound(
                type,
                .init(
                    codingPath: decoder.core.codingPath(parent: decoder, key: .index(currentIndex)),
                    debugDescription: "the unkeyed container has only \(currentIndex) values"))
        }
        switch elements {
        case .raw(let layout): return layout.slot(currentIndex)
        case .slots(let cursor):
            return try decoder.located { () throws(Malformed) in try decoder.core.source.slot(at: cursor.position, before: cursor.end) }
        }
    }

    private mutating func step(over slot: Slot) {
        if case .slots(var cursor) = elements {
            cursor.position = slot.end
            elements = .slots(cursor)
        }
        currentIndex += 1
    }

    mutating func next<T: Decodable>(_ type: T.Type, plan: Plan) throws -> T {
        let slot = try slot(for: type)
        let value = try decoder.core.decode(type, plan: plan, from: slot, parent: decoder, key: .index(currentIndex))
        step(over: slot)
        return value
    }

    mutating func decodeNil() throws -> Bool {
        let slot = try slot(for: Never?.self)
        if slot.isNull { step(over: slot) }
        return slot.isNull
    }

    @inline(__always)
    private mutating func scalar<S: RawElement>(_ type: S.Type) throws -> S {
        let slot = try slot(for: type)
        let value = try decoder.core.decodeScalar(S.self, from: slot, parent: decoder, key: .index(currentIndex))
        step(over: slot)
        return value
    }

    mutating func decode(_ type: String.Type) throws -> String {
        let slot = try slot(for: type)
        let value = try decoder.core.decodeString(from: slot, parent: decoder, key: .index(currentIndex))
        step(over: slot)
        return value
    }
    mutating func decode(_ type: Bool.Type) throws -> Bool { try scalar(type) }
    mutating func decode(_ type: Double.Type) throws -> Double { try scalar(type) }
    mutating func decode(_ type: Float.Type) throws -> Float { try scalar(type) }
    mutating func decode(_ type: Int.Type) throws -> Int { try scalar(type) }
    mutating func decode(_ type: Int8.Type) throws -> Int8 { try scalar(type) }
    mutating func decode(_ type: Int16.Type) throws -> Int16 { try scalar(type) }
    mutating func decode(_ type: Int32.Type) throws -> Int32 { try scalar(type) }
    mutating func decode(_ type: Int64.Type) throws -> Int64 { try scalar(type) }
    mutating func decode(_ type: Int128.Type) throws -> Int128 { try scalar(type) }
    mutating func decode(_ type: UInt.Type) throws -> UInt { try scalar(type) }
    mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try scalar(type) }
    mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try scalar(type) }
    mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try scalar(type) }
    mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try scalar(type) }
    mutating func decode(_ type: UInt128.Type) throws -> UInt128 { try scalar(type) }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T { try next(type, plan: TypePlan.of(T.self)) }

    mutating func decodeIfPresent<T: Decodable>(_ type: T.Type) throws -> T? {
        guard try hasMore() else { return nil }
        return try next(T?.self, plan: TypePlan.of(T?.self))
    }

    private mutating func child(_ type: any Any.Type) throws -> BinaryDecoder {
        let slot = try slot(for: type)
        let inner = try decoder.core.child(slot, of: decoder, key: .index(currentIndex))
        step(over: slot)
        return inner
    }

    mutating func nestedContainer<NestedKey: CodingKey>(keyedBy type: NestedKey.Type) throws -> KeyedDecodingContainer<NestedKey> {
        try retrying { (container) throws in try container.child(KeyedDecodingContainer<NestedKey>.self).container(keyedBy: type) }
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try retrying { (container) throws in try container.child([any Decodable].self).unkeyedContainer() }
    }

    mutating func superDecoder() throws -> any Decoder { try child((any Decoder).self) }

    /// Stays where it is when `body` throws, so that the caller may try another type.
    private mutating func retrying<R>(_ body: (inout UnkeyedDecoder) throws -> R) throws -> R {
        var ahead = self
        let result = try body(&ahead)
        self = ahead
        return result
    }
}
