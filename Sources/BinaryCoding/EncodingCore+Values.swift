extension EncodingCore {
    /// Writes `value` at the end of the output, whatever its type.
    @inline(__always)
    func encode<T: Encodable>(_ value: T, plan: Plan, in parent: Int, key: @autoclosure () -> PathKey) throws {
        if try writer.encodeLeaf(value, plan: plan) { return }
        if plan.pointee.encoding == .composite, let encoder = plan.pointee.encoder {
            try encoder.encode(value, to: self, in: parent, key: key())
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
            // The sizes of numbers by themselves: no pointer to an unknown type, and the store is one instruction.
            if plan.pointee.tag == Tag.raw {
                try withUnsafePointer(to: value) { try encodeSized(UnsafeRawPointer($0), plan: plan) }
            } else {
                try encodeNumber(value, plan: plan)
            }
            return true
        case .string:
            try encodeString(unsafeBitCast(value, to: String.self))
            return true
        case .composite, .codable:
            return false
        }
    }

    @inline(__always)
    final func encodeNumber<T>(_ value: T, plan: Plan) throws {
        switch plan.pointee.size {
        case 8: try encodeTagged(unsafeBitCast(value, to: UInt64.self), plan.pointee.tag)
        case 4: try encodeTagged(unsafeBitCast(value, to: UInt32.self), plan.pointee.tag)
        case 2: try encodeTagged(unsafeBitCast(value, to: UInt16.self), plan.pointee.tag)
        case 1: try encodeTagged(unsafeBitCast(value, to: UInt8.self), plan.pointee.tag)
        case 16: try encodeTagged(unsafeBitCast(value, to: UInt128.self), plan.pointee.tag)
        default: preconditionFailure("a number of another size")
        }
    }

    private final func encodeSized(_ value: UnsafeRawPointer, plan: Plan) throws {
        let size = plan.pointee.size
        guard let length = UInt32(exactly: size) else { preconditionFailure("a trivial type of \(size) bytes") }
        let memory = try reserve(5 + size)
        memory.storeBytes(of: Tag.raw, as: UInt8.self)
        memory.storeBytes(of: length, toByteOffset: 1, as: UInt32.self)
        (memory + 5).copyMemory(from: value, byteCount: size)
        advance(by: 5 + size)
    }

    @inline(__always)
    final func encodeTagged<S: BitwiseCopyable>(_ value: S, _ tag: UInt8) throws {
        let memory = try reserve(1 + MemoryLayout<S>.size)
        memory.storeBytes(of: tag, as: UInt8.self)
        (memory + 1).storeBytes(of: value, as: S.self)
        advance(by: 1 + MemoryLayout<S>.size)
    }

    @inline(__always)
    final func encodeScalar<S: RawElement>(_ value: S) throws { try encodeTagged(value, S.tag) }
}
