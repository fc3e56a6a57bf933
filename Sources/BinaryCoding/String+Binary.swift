extension String {
    /// The string of `utf8`, nil where that is not UTF-8.
    @inline(__always)
    init?(checking utf8: UnsafeRawBufferPointer) {
        // This repairs what is not UTF-8, and if it had to, the string differs from the bytes. Several times faster than `String(validating:as:)`.
        var string = String(decoding: utf8, as: UTF8.self)
        guard string.withUTF8({ UnsafeRawBufferPointer($0).elementsEqualInMemory(utf8) }) else { return nil }
        self = string
    }
}

extension ByteWriter {
    final func encodeString(_ string: String) throws {
        var string = string
        try string.withUTF8 { utf8 in
            let count = utf8.count
            let headSize = count <= UInt8.max ? 2 : Head.size
            let memory = try reserve(headSize + count)
            if count <= UInt8.max {
                memory.storeBytes(of: UInt16(Tag.shortString) | UInt16(truncatingIfNeeded: count) << 8, as: UInt16.self)
            } else {
                memory.storeBytes(of: Head.word(Tag.longString, length: count), as: UInt64.self)
            }
            if let source = utf8.baseAddress { (memory + headSize).copyMemory(from: source, byteCount: count) }
            advance(by: headSize + count)
        }
    }
}
