extension Array: CompositeEncodable where Element: Encodable {
    static func encode<Same>(_ value: Same, to core: EncodingCore, in parent: Int, key: PathKey) throws {
        if try encodeLeaf(value, to: core.writer) { return }
        let array = unsafeBitCast(value, to: Self.self)
        let plan = TypePlan.of(Element.self)
        try core.withFrame(in: parent, key: key, of: array, contents: .unkeyed) { index in
            try core.writer.append(Head.word(Tag.unkeyed, length: 0))
            for place in array.indices {
                try core.encode(array[place], plan: plan, in: index, key: .index(place))
            }
        }
    }

    /// Trivial elements go as their bytes in memory.
    static func encodeLeaf<Same>(_ value: Same, to writer: ByteWriter) throws -> Bool {
        let plan = TypePlan.of(Element.self)
        guard plan.pointee.encoding == .raw else { return false }
        try unsafeBitCast(value, to: Self.self).withUnsafeBufferPointer { elements in
            try writer.encodeRawArray(
                UnsafeRawBufferPointer(start: elements.baseAddress, count: elements.count * plan.pointee.stride), plan: plan)
        }
        return true
    }
}

extension Array: CompositeDecodable where Element: Decodable {
    static var runsUsersCode: Bool { TypePlan.of(Element.self).pointee.decodingRunsUsersCode }

    static func decode<Same>(as type: Same.Type, from slot: Slot, in core: DecodingCore, parent: BinaryDecoder?, key: PathKey) throws
        -> Same
    {
        let plan = TypePlan.of(Element.self)
        return unsafeBitCast(try core.decodeArray(of: Element.self, plan: plan, from: slot, parent: parent, key: key), to: Same.self)
    }
}

extension ByteWriter {
    /// Arrays of at least this many bytes lie in the writer's memory as they do in the sender's, counted from a multiple of ``rawArrayAlignment``: so they can
    /// be read in place, and copying them, here and back, moves whole cache lines.
    static var alignedArraySize: Int { 1024 }
    static var rawArrayAlignment: Int { 64 }

    /// Writes the elements of an array: a head, the tag and the size of an element, padding, the bytes.
    final func encodeRawArray(_ bytes: UnsafeRawBufferPointer, plan: Plan) throws {
        let fixed = RawArrayLayout.fixedSize
        var padding = 0
        if bytes.count >= Self.alignedArraySize {
            padding = (Int(bitPattern: bytes.baseAddress) - (count + Head.size + fixed)) & (Self.rawArrayAlignment - 1)
        }
        let memory = try reserve(Head.size + fixed + padding + bytes.count)
        memory.storeBytes(of: Head.word(Tag.rawArray, length: fixed + padding + bytes.count), as: UInt64.self)
        memory.storeBytes(of: plan.pointee.tag, toByteOffset: 8, as: UInt8.self)
        memory.storeBytes(of: UInt32(truncatingIfNeeded: plan.pointee.stride), toByteOffset: 9, as: UInt32.self)
        memory.storeBytes(of: UInt8(truncatingIfNeeded: padding), toByteOffset: 13, as: UInt8.self)
        for place in 0..<padding { memory.storeBytes(of: 0, toByteOffset: 14 + place, as: UInt8.self) }
        if let source = bytes.baseAddress { (memory + Head.size + fixed + padding).copyMemory(from: source, byteCount: bytes.count) }
        advance(by: Head.size + fixed + padding + bytes.count)
    }
}

extension DecodingCore {
    /// An array of its own with the elements of a raw array: checked where there is something to check, and copied once.
    func copyArray<Element>(_ layout: RawArrayLayout, plan: Plan, parent: BinaryDecoder?, key: PathKey) throws -> [Element] {
        let bytes = UnsafeRawBufferPointer(rebasing: source.bytes[layout.elements])
        if let checked = plan.pointee.checked, !checked.accepts(bytes) {
            throw corrupted("a byte in the array is no \(Element.self)", parent: parent, key: key)
        }
        return [Element](unsafeUninitializedCapacity: layout.count) { room, initialized in
            if let start = bytes.baseAddress, let memory = UnsafeMutableRawBufferPointer(room).baseAddress {
                NewMemory.fill(memory, from: start, byteCount: bytes.count)
            }
            initialized = layout.count
        }
    }
}

/// What lies between the head of a raw array and its elements, checked.
struct RawArrayLayout {
    /// The tag of an element, its size in memory, the number of padding bytes that follow.
    static let fixedSize = 6

    let tag: UInt8
    let stride: Int
    let elements: Range<Int>
    var count: Int { elements.count / stride }

    init(_ slot: Slot, in source: Source) throws(Malformed) {
        tag = try source.load(slot.payload, before: slot.payloadEnd)
        stride = Int(try source.load(slot.payload + 1, before: slot.payloadEnd, as: UInt32.self))
        let padding = Int(try source.load(slot.payload + 5, before: slot.payloadEnd, as: UInt8.self))
        let start = slot.payload + Self.fixedSize + padding
        guard start <= slot.payloadEnd else { throw Malformed(offset: slot.head, reason: "padding that reaches past the end") }
        elements = start..<slot.payloadEnd
        let known = Tag.scalarSize(tag) ?? (tag == Tag.raw ? stride : 0)
        guard stride > 0, known == stride, elements.count % stride == 0 else {
            throw Malformed(offset: slot.head, reason: "an array whose length does not fit its elements")
        }
    }

    /// The element at `place`, as if it were a value of its own.
    func slot(_ place: Int) -> Slot {
        let start = elements.lowerBound + place * stride
        return Slot(tag: tag, payload: start, payloadEnd: start + stride, head: start)
    }
}
