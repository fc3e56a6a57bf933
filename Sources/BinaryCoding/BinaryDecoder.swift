/// The `Decoder` that `init(from:)` gets: one slot.
final class BinaryDecoder: Decoder, SharedHandleDecoder {
    let core: DecodingCore
    let slot: Slot
    let parent: BinaryDecoder?
    let key: PathKey
    let level: Int
    /// Where keys of a keyed slot are looked up, made when the first is.
    @exclusivity(unchecked) var lookup: KeyLookup?

    init(core: DecodingCore, slot: Slot, parent: BinaryDecoder?, key: PathKey, level: Int) {
        self.core = core
        self.slot = slot
        self.parent = parent
        self.key = key
        self.level = level
    }

    var codingPath: [any CodingKey] {
        var path: [any CodingKey] = []
        var at: BinaryDecoder? = self
        while let decoder = at {
            if let key = decoder.key.codingKey { path.append(key) }
            at = decoder.parent
        }
        return path.reversed()
    }

    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(try KeyedDecoder<Key>(self))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { try UnkeyedDecoder(self, type: [any Decodable].self) }

    func singleValueContainer() throws -> any SingleValueDecodingContainer { SingleValueDecoder(decoder: self) }

    var bytes: UnsafeRawBufferPointer { core.source.bytes }

    func decodeHandle() throws -> UInt64 {
        try check()
        guard slot.tag == Tag.handle else {
            throw corrupted("expected a shared object, found \(slot.contentsInWords): receive it as the type that it was sent as", nil)
        }
        return try located { () throws(Malformed) in try core.source.load(slot.payload, before: slot.payloadEnd) }
    }

    /// Throws once the bytes may no longer be read.
    @inline(__always)
    func check() throws {
        if !core.isActive { throw core.outdated(parent: parent, key: key) }
    }

    /// Adds to an error about bytes the path on which they were met.
    @inline(__always)
    func located<R>(_ body: () throws(Malformed) -> R) throws -> R {
        do { return try body() } catch { throw core.corrupted(error, parent: parent, key: key) }
    }

    func corrupted(_ reason: String, _ key: PathKey?) -> DecodingError {
        if let key { return core.corrupted(reason, parent: self, key: key) }
        return core.corrupted(reason, parent: parent, key: self.key)
    }
}
