extension Optional: CompositeEncodable where Wrapped: Encodable {
    static func encode<Same>(_ value: Same, to core: EncodingCore, in parent: Int, key: PathKey) throws {
        switch unsafeBitCast(value, to: Self.self) {
        case nil: try core.writer.append(Tag.null)
        case let value?: try core.encodeSome(value, plan: TypePlan.of(Wrapped.self), in: parent, key: key)
        }
    }

    static func encodeLeaf<Same>(_ value: Same, to writer: ByteWriter) throws -> Bool {
        switch unsafeBitCast(value, to: Self.self) {
        case nil:
            try writer.append(Tag.null)
            return true
        case let value?:
            return try writer.encodeLeaf(value, plan: TypePlan.of(Wrapped.self))
        }
    }
}

extension Optional: CompositeDecodable where Wrapped: Decodable {
    static var runsUsersCode: Bool { TypePlan.of(Wrapped.self).pointee.decodingRunsUsersCode }

    static func decode<Same>(as type: Same.Type, from slot: Slot, in core: DecodingCore, parent: BinaryDecoder?, key: PathKey) throws
        -> Same
    {
        let value: Self
        if slot.tag == Tag.null {
            value = nil
        } else {
            value = try core.decode(Wrapped.self, plan: TypePlan.of(Wrapped.self), from: core.unwrapped(slot), parent: parent, key: key)
        }
        return unsafeBitCast(value, to: Same.self)
    }
}
