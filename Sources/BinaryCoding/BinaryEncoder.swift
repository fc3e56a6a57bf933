/// The `Encoder` that `encode(to:)` gets: one slot, to be filled with a keyed or an unkeyed container or a single value.
struct BinaryEncoder: Encoder, SharedHandleEncoder {
    let ref: EncodingRef

    var codingPath: [any CodingKey] { ref.codingPath }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(KeyedEncoder<Key>(ref: ref.container(.keyed)))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        UnkeyedEncoder(ref: ref.container(.unkeyed))
    }

    func singleValueContainer() -> any SingleValueEncodingContainer {
        SingleValueEncoder(ref: ref)
    }

    var writer: ByteWriter { ref.core.writer }

    func encode(handle: UInt64, of object: AnyObject) throws {
        try ref.writeSingle { core, _ in
            try core.writer.encode(handle: handle, of: object)
        }
    }
}

extension EncodingRef {
    /// Makes the slot a container, or goes on with the container it already is.
    func container(_ contents: EncodingRecord.Contents) -> EncodingRef {
        do {
            guard core.isCurrent(self) else {
                // Throws the reason.
                try core.activate(self)
                return self
            }
            if core[index].contents == contents { return self }
            guard core[index].contents == .nothing else {
                throw core.invalid(core, at: index, "encode(to:) asked for containers of different kinds; one value is one container")
            }
            if !core[index].isNested {
                try core.activate(self)
                try core.writer.append(Head.word(core[index].tag, length: 0))
            }
            core.setContents(contents, of: index)
            return self
        } catch {
            return failed(error)
        }
    }

    /// A slot of its own inside this one, at the end of the output, which may be left and taken up again.
    func nested(_ contents: EncodingRecord.Contents, key: PathKey) throws -> EncodingRef {
        if core[index].level >= StackGuard.levelLimit {
            throw core.invalid(
                core, at: index, "containers are nested more than \(StackGuard.levelLimit) deep; flatten them, for example into an array")
        }
        let memory = try core.writer.reserve(Head.nestedSize)
        let inner = core.open(in: index, key: key, nested: true, contents: contents)
        memory.storeBytes(of: Head.word(core[inner].tag, length: 0), as: UInt64.self)
        memory.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self)
        core.writer.advance(by: Head.nestedSize)
        return EncodingRef(core, inner)
    }

    /// Fills the slot with a single value. It stays empty when `body` throws.
    @inline(__always)
    func writeSingle(_ body: (EncodingCore, Int) throws -> Void) throws {
        try core.activate(self)
        guard core[index].contents == .nothing else {
            throw core.invalid(core, at: index, "encode(to:) encoded a single value into a slot that already holds something")
        }
        try core.writer.undoingOnThrow { try body(core, index) }
        core.setContents(.single, of: index)
    }
}
