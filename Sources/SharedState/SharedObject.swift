package import BinaryCoding

/// An object that lives in the arena, as its handles see it.
/// What travels when one is encoded is its ``handle``, its place in the arena.
package protocol SharedObject: SharedHandleObject {}

extension SharedObject {
    func encodeHandle(to encoder: any Encoder) throws {
        guard let encoder = encoder as? any SharedHandleEncoder else {
            throw EncodingError.invalidValue(
                self,
                EncodingError.Context(
                    codingPath: encoder.codingPath,
                    debugDescription: """
                        A \(Self.self) is a place in memory that one family of processes shares: it can be an argument or a result of their work, \
                        and cannot be written elsewhere. Encode its value instead.
                        """))
        }
        try encoder.encode(handle: handle, of: self)
    }
}

/// The handle that `decoder` has next, for a `type`.
func decodeHandle(of type: (some SharedObject).Type, from decoder: any Decoder) throws -> UInt64 {
    guard let source = decoder as? any SharedHandleDecoder else {
        throw handleError(type, decoder, "A \(type) can only come from a process of the same family, as an argument or a result.")
    }
    return try source.decodeHandle()
}

func handleError(_ type: any Any.Type, _ decoder: any Decoder, _ text: String) -> DecodingError {
    DecodingError.dataCorrupted(DecodingError.Context(codingPath: decoder.codingPath, debugDescription: text))
}
