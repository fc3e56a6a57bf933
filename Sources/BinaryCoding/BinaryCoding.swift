/// Appends the binary form of `value` to `writer`. Throws `EncodingError` for what cannot be encoded, and whatever `encode(to:)` and the writer throw.
package func encodeBinary<T: Encodable>(_ value: T, to writer: ByteWriter) throws {
    fatalError("not there yet")
}

/// Takes a value from `reader`. Throws `DecodingError` for bytes that do not hold a `T`, and whatever `init(from:)` throws. Never traps, whatever the bytes.
package func decodeBinary<T: Decodable>(_ type: T.Type = T.self, from reader: inout ByteReader) throws -> T {
    fatalError("not there yet")
}
