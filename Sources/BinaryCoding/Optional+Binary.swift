extension Optional: CompositeEncodable where Wrapped: Encodable {
    static func encode(at address: UnsafeRawPointer, to core: EncodingCore, in parent: Int, key: PathKey) throws {
        switch address.assumingMemoryBound(to: Self.self).pointee {
        case nil: try core.writer.append(Tag.null)
        case let value?: try core.encodeSome(value, plan: TypePlan.of(Wrapped.self), in: parent, key: key)
        }
    }

    static func encodeLeaf(at address: UnsafeRawPointer, to writer: ByteWriter) throws -> Bool {
        switch address.assumingMemoryBound(to: Self.self).pointee {
        case nil:
            try writer.append(Tag.null)
            return true
        case let value?:
            return try writer.encodeLeaf(value, plan: TypePlan.of(Wrapped.self))
        }
    }
}

extension Optional: CompositeDecodable where Wrapped: Decodable {
    static func decode(to address: UnsafeMutableRawPointer, from slot: Slot, in core: DecodingCore, parent: BinaryDecoder?, key: PathKey) throws {
        let value: Self
        if slot.tag == Tag.null {
            value = nil
        } else {
            value = try core.decode(Wrapped.self, plan: TypePlan.of(Wrapped.self), from: core.unwrapped(slot), parent: parent, key: key)
        }
        address.initializeMemory(as: Self.self, to: value)
    }
}
