// The generic functions here get a value whose type their caller knows by one name and they by another, `Self`. A bit cast between the two
// costs nothing, where a dynamic cast, or a pointer to a generic type, makes the runtime look up metadata.

/// A container of the standard library that this module writes by itself.
protocol CompositeEncodable {
    /// Writes `value`, which is a `Self`.
    static func encode<Same>(_ value: Same, to core: EncodingCore, in parent: Int, key: PathKey) throws
    /// Writes `value`, which is a `Self`, if that needs no encoder, and returns whether it did.
    static func encodeLeaf<Same>(_ value: Same, to writer: ByteWriter) throws -> Bool
}

/// The counterpart of ``CompositeEncodable``.
protocol CompositeDecodable {
    /// The value in `slot`, as what is `Self`. `parent` is the decoder around it.
    static func decode<Same>(as type: Same.Type, from slot: Slot, in core: DecodingCore, parent: BinaryDecoder?, key: PathKey) throws
        -> Same
    /// Whether that may run the user's code.
    static var runsUsersCode: Bool { get }
}
