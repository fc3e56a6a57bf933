extension ByteReader {
    /// The elements of an encoded `[Element]`, where they lie in the bytes, if they can be used there: `Element` is trivial, has no invalid
    /// bytes, and the elements happen to be aligned for it. Arrays of 1 KiB and more are, if the writer's memory begins at a multiple of 16.
    ///
    /// Constant time. The reader moves behind the array, or stays where it is when the answer is nil: then ``decodeBinary(_:from:)`` says why,
    /// or copies.
    /// - Returns: memory that belongs to whoever the reader's bytes belong to, and is valid as long.
    package mutating func borrowArray<Element>(of type: Element.Type = Element.self) -> UnsafeBufferPointer<Element>? {
        let plan = TypePlan.of(Element.self)
        let source = Source(bytes: bytes)
        guard plan.pointee.decoding == .raw, plan.pointee.checked == nil,
            let slot = try? source.slot(at: offset, before: bytes.count), slot.tag == Tag.rawArray,
            let layout = try? RawArrayLayout(slot, in: source), layout.tag == plan.pointee.tag, layout.stride == plan.pointee.stride,
            let base = bytes.baseAddress
        else { return nil }
        let start = base + layout.elements.lowerBound
        let isAligned = UInt(bitPattern: start) % UInt(MemoryLayout<Element>.alignment) == 0
        guard isAligned, (try? take(slot.end - offset)) != nil else { return nil }
        return UnsafeBufferPointer(start: start.assumingMemoryBound(to: Element.self), count: layout.count)
    }
}
