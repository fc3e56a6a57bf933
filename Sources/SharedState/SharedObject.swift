package import BinaryCoding

/// An object that lives in the arena, as its handles see it.
/// What travels when one is encoded is its ``handle``, its place in the arena.
package protocol SharedObject: SharedHandleObject {
    /// Whether it has a value, which could be written in its place.
    static var isReadable: Bool { get }
}

extension SharedObject {
    package static var isReadable: Bool { false }

    func encodeHandle(to encoder: any Encoder) throws {
        guard let encoder = encoder as? any SharedHandleEncoder else {
            throw EncodingError.invalidValue(
                self,
                EncodingError.Context(
                    codingPath: encoder.codingPath,
                    debugDescription: """
                        A \(Self.self) is a place in memory that one family of processes shares: it can be an argument or a result of their work, \
                        and cannot be written elsewhere.\(Self.isReadable ? " Encode its value instead." : " Leave it out of what is written.")
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

/// For a `handle` where there is no object of this `type`.
func missingObject(_ type: any Any.Type, at handle: UInt64, _ decoder: any Decoder) -> DecodingError {
    let found = (try? Arena.current()).flatMap { ObjectBlock.description(at: handle, in: $0) }
    return handleError(
        type, decoder,
        "What has come is \(found ?? "no shared object (any more)"), and not a \(type). Receive it as the type that it was sent as.")
}

/// An object whose users count on one another.
package protocol ReliedOnObject: AnyObject {
    /// A process has died that was to get this object, before it held it: from then on, reclaiming tells it.
    func receiverDied(_ processIdentifier: Int32)
}

extension ObjectBlock {
    /// The object of a kind, and with elements, as expected at `handle`, which may be anything; held for a new handle.
    static func retain(
        _ kind: Kind, elementSize: Int = 0, element: (any Any.Type)? = nil, at handle: UInt64, isHeld: Bool = false
    ) -> ObjectBlock? {
        guard let arena = try? Arena.current() else { return nil }
        return take(kind, elementSize: elementSize, element: element, at: handle, isHeld: isHeld, in: arena)
    }

    /// The object that `decoder` has next. Held for a new handle.
    static func decode(
        _ kind: Kind, elementSize: Int = 0, element: (any Any.Type)? = nil, of type: (some SharedObject).Type, from decoder: any Decoder
    ) throws -> ObjectBlock {
        let handle = try decodeHandle(of: type, from: decoder)
        guard let block = retain(kind, elementSize: elementSize, element: element, at: handle) else {
            throw missingObject(type, at: handle, decoder)
        }
        return block
    }
}
