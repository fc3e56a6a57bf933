/// A container of the standard library that this module writes by itself.
protocol CompositeEncodable {
    /// Writes the value at `address`.
    static func encode(at address: UnsafeRawPointer, to core: EncodingCore, in parent: Int, key: PathKey) throws
    /// Writes the value at `address` if that needs no encoder, and returns whether it did.
    static func encodeLeaf(at address: UnsafeRawPointer, to writer: ByteWriter) throws -> Bool
}

/// The counterpart of ``CompositeEncodable``.
protocol CompositeDecodable {
    /// Makes the value in `slot`, at `address`, which is uninitialised. `parent` is the decoder around it.
    static func decode(to address: UnsafeMutableRawPointer, from slot: Slot, in core: DecodingCore, parent: BinaryDecoder?, key: PathKey) throws
}
