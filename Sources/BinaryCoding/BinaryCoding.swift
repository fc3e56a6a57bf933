/// Appends the binary form of `value` to `writer`, behind what is there already.
///
/// Numbers, strings, and arrays of trivial values are written without allocating anything beside the writer.
/// - Throws: `EncodingError` for what cannot be encoded, and whatever `encode(to:)` and the writer throw. Then nothing was appended.
package func encodeBinary<T: Encodable>(_ value: T, to writer: ByteWriter) throws {
    let plan = TypePlan.of(T.self)
    if plan.pointee.wordTag != 0 { return try writer.encodeTagged(unsafeBitCast(value, to: UInt64.self), plan.pointee.wordTag) }
    if plan.pointee.isScalar { return try encodeNumber(value, plan: plan, to: writer) }
    try encodeOther(value, plan: plan, to: writer)
}

// Each apart, so that simple values do not pay for what others need.

@inline(never)
private func encodeNumber<T>(_ value: T, plan: Plan, to writer: ByteWriter) throws { try writer.encodeNumber(value, plan: plan) }

@inline(never)
private func encodeOther<T: Encodable>(_ value: T, plan: Plan, to writer: ByteWriter) throws {
    if try writer.encodeLeaf(value, plan: plan) { return }
    try writer.undoingOnThrow {
        if let encoder = plan.pointee.encoder {
            if try encoder.encodeLeaf(value, to: writer) { return }
        }
        // From here on it may be the user's own code that encodes.
        writer.makeWayForUsersCode()
        try EncodingCore(writer).encode(value, plan: plan, in: -1, key: .none)
    }
}

/// Takes a value from `reader`, which then stands behind it.
///
/// - Throws: `DecodingError` for bytes that do not hold a `T`, and whatever `init(from:)` throws. Never traps, whatever the bytes, as long as
///   the `init(from:)`s do not. The reader has not moved then.
package func decodeBinary<T: Decodable>(_ type: T.Type = T.self, from reader: inout ByteReader) throws -> T {
    let plan = TypePlan.of(T.self)
    if plan.pointee.wordTag != 0, let word = reader.takeWord(tag: plan.pointee.wordTag) { return unsafeBitCast(word, to: T.self) }
    if plan.pointee.isScalar, let bytes = reader.numberBytes(plan) { return decodeNumber(type, plan: plan, from: bytes) }
    return try decodeOther(type, plan: plan, from: &reader)
}

@inline(never)
private func decodeNumber<T>(_ type: T.Type, plan: Plan, from bytes: UnsafeRawPointer) -> T { loadNumber(type, plan: plan, from: bytes) }

@inline(never)
private func decodeOther<T: Decodable>(_ type: T.Type, plan: Plan, from reader: inout ByteReader) throws -> T {
    if plan.pointee.decoding == .string, let string = reader.shortString() { return unsafeBitCast(string, to: T.self) }
    // Neither does a shared object.
    if let shared = plan.pointee.shared, let object = reader.takeObject(shared) { return unsafeBitCast(object, to: T.self) }
    let core = DecodingCore(reader.bytes)
    defer { core.finish() }
    let value: T
    let slot: Slot
    do {
        slot = try core.source.slot(at: reader.offset, before: reader.bytes.count)
        value = try core.decode(type, plan: plan, from: slot, parent: nil, key: .none)
        _ = try reader.take(slot.end - reader.offset)
    } catch let error as Malformed {
        throw core.corrupted(error, parent: nil, key: .none)
    }
    return value
}

/// Whether ``decodeBinary(_:from:)`` may run the user's code for this type: an `init(from:)`. Some nanoseconds.
@usableFromInline
package func decodingRunsUsersCode<T>(_ type: T.Type) -> Bool { TypePlan.of(type).pointee.decodingRunsUsersCode }
