/// Appends values under keys.
struct KeyedEncoder<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let ref: EncodingRef

    var codingPath: [any CodingKey] { ref.codingPath }

    /// Writes a key, and by `body` its value, for which `room` bytes are reserved. Nothing is left of either when `body` throws.
    @inline(__always)
    private func write(_ key: some CodingKey, room: Int, _ body: (EncodingCore) throws -> Void) throws {
        let core = ref.core
        let entry = try core.beginEntry(ref, key.stringValue, key.intValue, room: room)
        do { try body(core) } catch {
            core.writer.truncate(to: entry.start, retained: core.writer.retained.count)
            throw error
        }
        core[ref.index].count += 1
        if entry.replaces >= 0 { core.markReplaced(entry.replaces) }
    }

    func encodeNil(forKey key: Key) throws { try write(key, room: 1) { try $0.writer.append(Tag.null) } }

    @inline(__always)
    private func scalar<S: RawElement>(_ value: S, _ key: Key) throws {
        try write(key, room: 1 + MemoryLayout<S>.size) { try $0.writer.encodeScalar(value) }
    }

    func encode(_ value: String, forKey key: Key) throws { try write(key, room: 10) { try $0.writer.encodeString(value) } }
    func encode(_ value: Bool, forKey key: Key) throws { try scalar(value, key) }
    func encode(_ value: Double, forKey key: Key) throws { try scalar(value, key) }
    func encode(_ value: Float, forKey key: Key) throws { try scalar(value, key) }
    func encode(_ value: Int, forKey key: Key) throws { try scalar(value, key) }
    func encode(_ value: Int8, forKey key: Key) throws { try scalar(value, key) }
    func encode(_ value: Int16, forKey key: Key) throws { try scalar(value, key) }
    func encode(_ value: Int32, forKey key: Key) throws { try scalar(value, key) }
    func encode(_ value: Int64, forKey key: Key) throws { try scalar(value, key) }
    func encode(_ value: Int128, forKey key: Key) throws { try scalar(value, key) }
    func encode(_ value: UInt, forKey key: Key) throws { try scalar(value, key) }
    func encode(_ value: UInt8, forKey key: Key) throws { try scalar(value, key) }
    func encode(_ value: UInt16, forKey key: Key) throws { try scalar(value, key) }
    func encode(_ value: UInt32, forKey key: Key) throws { try scalar(value, key) }
    func encode(_ value: UInt64, forKey key: Key) throws { try scalar(value, key) }
    func encode(_ value: UInt128, forKey key: Key) throws { try scalar(value, key) }

    func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
        let plan = TypePlan.of(T.self)
        try write(key, room: 1 + plan.pointee.size) { try $0.encode(value, plan: plan, in: ref.index, key: .key(key)) }
    }

    func encodeIfPresent<T: Encodable>(_ value: T?, forKey key: Key) throws {
        guard let value else { return }
        let plan = TypePlan.of(T.self)
        try write(key, room: 1 + plan.pointee.size) { try $0.encodeSome(value, plan: plan, in: ref.index, key: .key(key)) }
    }

    private func slot(_ contents: EncodingRecord.Contents, _ key: some CodingKey) -> EncodingRef {
        do {
            var inner = ref
            try write(key, room: Head.nestedSize) { _ in inner = try ref.nested(contents, key: .key(key)) }
            return inner
        } catch {
            return ref.failed(error)
        }
    }

    func nestedContainer<NestedKey: CodingKey>(keyedBy keyType: NestedKey.Type, forKey key: Key) -> KeyedEncodingContainer<NestedKey> {
        KeyedEncodingContainer(KeyedEncoder<NestedKey>(ref: slot(.keyed, key)))
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { UnkeyedEncoder(ref: slot(.unkeyed, key)) }

    func superEncoder() -> any Encoder { BinaryEncoder(ref: slot(.nothing, PlainKey.superclass)) }

    func superEncoder(forKey key: Key) -> any Encoder { BinaryEncoder(ref: slot(.nothing, key)) }
}
