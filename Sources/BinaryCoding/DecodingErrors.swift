extension DecodingCore {
    func codingPath(parent: BinaryDecoder?, key: PathKey) -> [any CodingKey] {
        let last = key.codingKey.map { [$0] } ?? []
        return (parent?.codingPath ?? []) + last
    }

    func corrupted(_ reason: String, parent: BinaryDecoder?, key: PathKey) -> DecodingError {
        .dataCorrupted(.init(codingPath: codingPath(parent: parent, key: key), debugDescription: reason))
    }

    func corrupted(_ error: Malformed, parent: BinaryDecoder?, key: PathKey) -> DecodingError {
        corrupted("malformed bytes at offset \(error.offset): \(error.reason)", parent: parent, key: key)
    }

    func outdated(parent: BinaryDecoder?, key: PathKey) -> DecodingError {
        corrupted("a decoder or container was used after the decoding it belongs to had ended", parent: parent, key: key)
    }

    /// For a slot that does not hold what was asked for.
    func mismatch(_ type: any Any.Type, _ slot: Slot, parent: BinaryDecoder?, key: PathKey) -> DecodingError {
        let path = codingPath(parent: parent, key: key)
        if slot.isNull { return .valueNotFound(type, .init(codingPath: path, debugDescription: "expected \(type), found nil")) }
        return .typeMismatch(type, .init(codingPath: path, debugDescription: "expected \(type), found \(slot.contentsInWords)"))
    }
}

extension Slot {
    var contentsInWords: String {
        switch tag {
        case Tag.bool: "a Bool"
        case Tag.int8...Tag.int, Tag.uint8...Tag.uint: "an integer that is another type's or out of range"
        case Tag.float16...Tag.double: "a floating-point number of another type or out of range"
        case Tag.raw...Tag.raw16: "a trivial value of \(payloadEnd - payload) bytes"
        case Tag.shortString, Tag.longString: "a string"
        case Tag.rawArray: "an array of trivial values"
        case Tag.keyed, Tag.nestedKeyed: "a keyed container"
        case Tag.unkeyed, Tag.nestedUnkeyed: "an unkeyed container"
        case Tag.handle: "a shared object"
        default: "nothing"
        }
    }
}
