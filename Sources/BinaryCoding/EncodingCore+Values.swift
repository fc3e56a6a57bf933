extension EncodingCore {
    /// Writes `value` at the end of the output, whatever its type.
    @inline(__always)
    func encode<T: Encodable>(_ value: T, plan: Plan, in parent: Int, key: @autoclosure () -> PathKey) throws {
        if try writer.encodeLeaf(value, plan: plan) { return }
        if plan.pointee.encoding == .composite, let encoder = plan.pointee.encoder {
            try withUnsafePointer(to: value) { try encoder.encode(at: UnsafeRawPointer($0), to: self, in: parent, key: key()) }
        } else {
            try encodeByItself(value, in: parent, key: key())
        }
    }

    func encodeByItself<T: Encodable>(_ value: T, in parent: Int, key: PathKey) throws {
        try withFrame(in: parent, key: key, of: value) { try value.encode(to: BinaryEncoder(ref: EncodingRef(self, $0))) }
    }

    /// Writes a non-nil `value` so that it reads as `some`, even where it is, or encodes as, a nil itself.
    @inline(__always)
    func encodeSome<T: Encodable>(_ value: T, plan: Plan, in parent: Int, key: @autoclosure () -> PathKey) throws {
        let start = writer.count
        try encode(value, plan: plan, in: parent, key: key())
        let tag = writer.base.load(fromByteOffset: start, as: UInt8.self)
        guard tag <= Tag.some else { return }
        // The chain of `some`s gets one longer, and its nil moves to the end.
        writer.patch(Tag.some, at: writer.count - 1)
        try writer.append(Tag.null)
    }
}

extension ByteWriter {
    /// Takes back what `body` wrote when it throws.
    @inline(__always)
    final func undoingOnThrow(_ body: () throws -> Void) throws {
        let start = count
        let kept = retained.count
        do { try body() } catch {
            truncate(to: start, retained: kept)
            throw error
        }
    }

    /// Writes `value` if that needs no encoder, and returns whether it did.
    @inline(__always)
    final func encodeLeaf<T>(_ value: T, plan: Plan) throws -> Bool {
        switch plan.pointee.encoding {
        case .raw:
            try withUnsafePointer(to: value) { try encodeRaw(UnsafeRawPointer($0), plan: plan) }
            return true
        case .string:
            try withUnsafePointer(to: value) { try $0.withMemoryRebound(to: String.self, capacity: 1) { try encodeString($0.pointee) } }
            return true
        case .composite, .codable:
            return false
        }
    }

    final func encodeRaw(_ value: UnsafeRawPointer, plan: Plan) throws {
        let size = plan.pointee.size
        if plan.pointee.tag == Tag.raw {
            guard let length = UInt32(exactly: size) else { preconditionFailure("a trivial type of \(size) bytes") }
            let memory = try reserve(5 + size)
            memory.storeBytes(of: Tag.raw, as: UInt8.self)
            memory.storeBytes(of: length, toByteOffset: 1, as: UInt32.self)
            (memory + 5).copyMemory(from: value, byteCount: size)
            advance(by: 5 + size)
        } else {
            let memory = try reserve(1 + size)
            memory.storeBytes(of: plan.pointee.tag, as: UInt8.self)
            (memory + 1).copyMemory(from: value, byteCount: size)
            advance(by: 1 + size)
        }
    }

    @inline(__always)
    final func encodeScalar<S: RawElement>(_ value: S) throws {
        let memory = try reserve(1 + MemoryLayout<S>.size)
        memory.storeBytes(of: S.tag, as: UInt8.self)
        (memory + 1).storeBytes(of: value, as: S.self)
        advance(by: 1 + MemoryLayout<S>.size)
    }

    final func encodeString(_ string: String) throws {
        var string = string
        try string.withUTF8 { utf8 in
            if let length = UInt8(exactly: utf8.count) {
                let memory = try reserve(2 + utf8.count)
                memory.storeBytes(of: Tag.shortString, as: UInt8.self)
                memory.storeBytes(of: length, toByteOffset: 1, as: UInt8.self)
                advance(by: 2)
            } else {
                try reserve(8 + utf8.count).storeBytes(of: Head.word(Tag.longString, length: utf8.count), as: UInt64.self)
                advance(by: 8)
            }
            try append(contentsOf: UnsafeRawBufferPointer(utf8))
        }
    }
}
