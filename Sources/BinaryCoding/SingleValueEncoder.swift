/// Fills a slot with one value.
struct SingleValueEncoder: SingleValueEncodingContainer {
    let ref: EncodingRef

    var codingPath: [any CodingKey] { ref.codingPath }

    func encodeNil() throws { try ref.writeSingle { core, _ in try core.writer.append(Tag.null) } }

    @inline(__always)
    private func scalar<S: RawElement>(_ value: S) throws { try ref.writeSingle { core, _ in try core.writer.encodeScalar(value) } }

    func encode(_ value: String) throws { try ref.writeSingle { core, _ in try core.writer.encodeString(value) } }
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
        try ref.writeSingle { core, index in try core.encode(value, plan: TypePlan.of(T.self), in: index, key: .none) }
    }
}
