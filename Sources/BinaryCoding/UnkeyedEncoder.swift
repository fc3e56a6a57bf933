/// Appends values one after the other.
struct UnkeyedEncoder: UnkeyedEncodingContainer {
    let ref: EncodingRef

    var codingPath: [any CodingKey] { ref.codingPath }
    var count: Int { ref.core.isCurrent(ref) ? ref.core[ref.index].count : 0 }

    @inline(__always)
    private func write(_ body: (EncodingCore) throws -> Void) throws {
        try ref.core.activate(ref)
        try ref.core.writer.undoingOnThrow { try body(ref.core) }
        ref.core[ref.index].count += 1
    }

    func encodeNil() throws { try write { try $0.writer.append(Tag.null) } }

    @inline(__always)
    private func scalar<S: RawElement>(_ value: S) throws { try write { try $0.writer.encodeScalar(value) } }

    func encode(_ value: String) throws { try write { try $0.writer.encodeString(value) } }
    func encode(_ value: Bool) throws { try scalar(value) }
    func encode(_ value: Double) throws { try scalar(value) }
    func encode(_ value: Float) throws { try scalar(value) }
    func encode(_ value: Int) throws { try scalar(value) }
    func encode(_ value: Int8) throws { try scalar(value) }
    func encode(_ value: Int16) throws { try scalar(value) }
    func encode(_ value: Int32) throws { try scalar(value) }
    func encode(_ value: Int64) throws { try scalar(value) }
    func encode(_ value: Int128) throws { try scalar(value) }
    func encode(_ value: UInt) throws { try scalar(value) }
    func encode(_ value: UInt8) throws { try scalar(value) }
    func encode(_ value: UInt16) throws { try scalar(value) }
    func encode(_ value: UInt32) throws { try scalar(value) }
    func encode(_ value: UInt64) throws { try scalar(value) }
    func encode(_ value: UInt128) throws { try scalar(value) }

    func encode<T: Encodable>(_ value: T) throws {
        try write { try $0.encode(value, plan: TypePlan.of(T.self), in: ref.index, key: .index(count)) }
    }

    private func slot(_ contents: EncodingRecord.Contents) -> EncodingRef {
        do {
            var inner = ref
            try write { _ in inner = try ref.nested(contents, key: .index(count)) }
            return inner
        } catch {
            return ref.failed(error)
        }
    }

    func nestedContainer<NestedKey: CodingKey>(keyedBy keyType: NestedKey.Type) -> KeyedEncodingContainer<NestedKey> {
        KeyedEncodingContainer(KeyedEncoder<NestedKey>(ref: slot(.keyed)))
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { UnkeyedEncoder(ref: slot(.unkeyed)) }

    func superEncoder() -> any Encoder { BinaryEncoder(ref: slot(.nothing)) }
}
