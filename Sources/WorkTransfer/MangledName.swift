/// A type's mangled name, in which contexts (nominal types and protocols) stand as references to their descriptors.
///
/// Such a name finds private and local types too, which have no name that the runtime could look up, and it needs no look-up at all.
struct MangledName {
    /// ABI: byte 2 and a relative 32-bit offset name a word that holds a descriptor's address. Here, until ``resolve()``, the 32 bits are an index.
    private static let indirectContext: UInt8 = 2

    private(set) var bytes: [UInt8] = []
    private(set) var descriptors: [UnsafeRawPointer] = []

    init() {}

    /// A plain name, as `_mangledTypeName` returns it.
    init(_ text: String) { bytes = Array(text.utf8) }

    mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func append(context descriptor: UnsafeRawPointer) {
        let index = descriptors.firstIndex(of: descriptor) ?? descriptors.endIndex
        if index == descriptors.endIndex { descriptors.append(descriptor) }
        bytes.append(Self.indirectContext)
        withUnsafeBytes(of: UInt32(index).littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// The type of this name, or nil where there is none. Finds what the runtime can find without code of the type's module.
    func resolve() -> Any.Type? {
        let words = descriptors.count * MemoryLayout<UnsafeRawPointer>.stride
        return withUnsafeTemporaryAllocation(byteCount: words + bytes.count + 1, alignment: MemoryLayout<UnsafeRawPointer>.alignment) { memory in
            guard let base = memory.baseAddress else { return nil }
            for (index, descriptor) in descriptors.enumerated() {
                base.storeBytes(of: descriptor, toByteOffset: index * MemoryLayout<UnsafeRawPointer>.stride, as: UnsafeRawPointer.self)
            }
            let name = base + words
            bytes.withUnsafeBytes { if let start = $0.baseAddress { name.copyMemory(from: start, byteCount: $0.count) } }
            name.storeBytes(of: 0, toByteOffset: bytes.count, as: UInt8.self)
            var position = 0
            while position < bytes.count {
                if bytes[position] == Self.indirectContext {
                    let field = position + 1
                    let index = Int(name.loadUnaligned(fromByteOffset: field, as: UInt32.self).littleEndian)
                    // Relative to the field itself, and backwards: the words lie in front of the name.
                    let offset = Int32(index * MemoryLayout<UnsafeRawPointer>.stride - (words + field))
                    name.storeBytes(of: offset, toByteOffset: field, as: Int32.self)
                    position = field + 4
                } else {
                    position += 1
                }
            }
            return _getTypeByMangledNameInContext(
                name.assumingMemoryBound(to: UInt8.self), UInt(bytes.count), genericContext: nil, genericArguments: nil)
        }
    }
}

extension MangledName {
    func write(to writer: inout PortableWriter) throws(TransferError) {
        writer.append(UInt16(descriptors.count))
        for descriptor in descriptors {
            try writer.append(address: descriptor, length: 4, what: "the descriptor of a type")
        }
        writer.append(UInt32(bytes.count))
        writer.append(contentsOf: bytes)
    }

    init(from reader: inout PortableReader) throws(TransferError) {
        for _ in 0..<(try reader.integer(UInt16.self)) {
            descriptors.append(try reader.address(length: 4))
        }
        bytes = Array(try reader.take(Int(try reader.integer(UInt32.self))))
        // Only indices of descriptors may follow the marks, and no other kind of reference occurs: a bad one would be followed blindly.
        var position = 0
        while position < bytes.count {
            if bytes[position] == Self.indirectContext {
                guard position + 5 <= bytes.count else { throw PortableReader.damaged }
                let index = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: position + 1, as: UInt32.self).littleEndian }
                guard index < descriptors.count else { throw PortableReader.damaged }
                position += 5
            } else {
                guard bytes[position] >= 0x20 else { throw PortableReader.damaged }
                position += 1
            }
        }
    }
}
