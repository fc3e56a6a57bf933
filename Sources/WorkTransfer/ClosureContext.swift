#if !((arch(x86_64) || arch(arm64)) && os(Linux))
    #error("how functions travel has been verified for 64-bit Linux alone: see README.md beside this file")
#endif

/// ABI: what a Swift function value holds (two words), and the heap box that its second word points to when something was captured.
///
/// A *thunk* adapts a function to another calling convention. Its box holds that function and nothing else, so it says nothing of this process's state, and another
/// process can make the same box. The compiler makes such boxes from function references in debug builds, from function values in variables always.
///
/// The source is `swift/ABI/Metadata.h` (`TargetHeapLocalVariableMetadata`), `swift/RemoteInspection/Records.h` (`CaptureDescriptor`) and `docs/ABI/Mangling.rst`.
struct FunctionWords: BitwiseCopyable {
    var code: UInt
    var context: UInt
}

/// A box whose every capture is a function value.
struct ThunkBox {
    /// Metadata, reference counts.
    static let headerSize = 2 * MemoryLayout<UInt>.size
    static let heapLocalVariable: UInt = 0x400
    /// Kind, offset of the first capture, capture descriptor.
    static let metadataSize = 3 * MemoryLayout<UInt>.size

    /// What the box's words hold, in this order: type metadata, witness tables, functions.
    struct Shape: Equatable {
        var types: Int
        var witnessTables: Int
        var functions: Int

        var size: Int { headerSize + (types + witnessTables) * MemoryLayout<UInt>.size + functions * MemoryLayout<FunctionWords>.size }
    }

    let address: UnsafeRawPointer
    let metadata: UnsafeRawPointer
    let shape: Shape

    /// - Parameter context: the second word of a function value, not zero.
    init(_ context: UnsafeRawPointer) throws(CaptureRefusal) {
        address = context
        metadata = context.load(as: UnsafeRawPointer.self)
        guard metadata.load(as: UInt.self) == Self.heapLocalVariable else { throw .object(TypeMetadata(metadata)) }
        shape = try ThunkShapes.shape(of: metadata)
    }

    func type(_ index: Int) -> UnsafeRawPointer { word(index) }
    func witnessTable(_ index: Int) -> UnsafeRawPointer { word(shape.types + index) }
    func function(_ index: Int) -> FunctionWords {
        let start = Self.headerSize + (shape.types + shape.witnessTables) * MemoryLayout<UInt>.size
        return address.load(fromByteOffset: start + index * MemoryLayout<FunctionWords>.size, as: FunctionWords.self)
    }

    private func word(_ index: Int) -> UnsafeRawPointer {
        address.load(fromByteOffset: Self.headerSize + index * MemoryLayout<UInt>.size, as: UnsafeRawPointer.self)
    }

    // MARK: The capture descriptor

    /// Reads the shape from a box's metadata. Neither allocates nor looks anything up.
    static func shape(of metadata: UnsafeRawPointer) throws(CaptureRefusal) -> Shape {
        let firstCapture = metadata.load(fromByteOffset: 8, as: UInt32.self)
        // Zero: the place of the first capture depends on a generic type, which hence is captured.
        guard firstCapture == UInt32(headerSize) else { throw .unknown }
        guard let descriptor = metadata.load(fromByteOffset: 16, as: UnsafeRawPointer?.self) else { throw .unknown }
        let captures = Int(descriptor.load(as: UInt32.self))
        let sources = Int(descriptor.load(fromByteOffset: 4, as: UInt32.self))
        let bindings = Int(descriptor.load(fromByteOffset: 8, as: UInt32.self))
        var record = descriptor + 12
        for _ in 0..<captures {
            let name = CapturedTypeName(record)
            guard name.isFunctionWithContext else { throw .value(name) }
            record += 4
        }
        for index in 0..<sources {
            // A pair of references, to the name of a generic parameter and to where its metadata is. The form `B<n>` says: in the n-th word of this box.
            // Packs come with their length, and in other forms; so do integers (`v`).
            guard CapturedTypeName(record + 4).isBinding(index) else { throw .genericContext }
            record += 8
        }
        guard bindings >= sources else { throw .genericContext }
        return Shape(types: sources, witnessTables: bindings - sources, functions: captures)
    }
}

/// Why a context cannot be made anew in another process.
enum CaptureRefusal: Error {
    /// The context is an object: what its class or, of a variable that closures share, its box says.
    case object(TypeMetadata)
    case value(CapturedTypeName)
    /// Generic arguments of a form that is not known here, as those of a parameter pack.
    case genericContext
    /// The program was built without reflection metadata, or the box has no descriptor for another reason.
    case unknown
}

/// A zero-terminated mangled name in an image, found through a relative reference. It may contain references, which contain zeros.
struct CapturedTypeName: @unchecked Sendable {
    let start: UnsafePointer<UInt8>
    let count: Int

    init(_ reference: UnsafeRawPointer) {
        let start = (reference + Int(reference.load(as: Int32.self))).assumingMemoryBound(to: UInt8.self)
        var count = 0
        while start[count] != 0 {
            switch start[count] {
            case 0x01...0x17: count += 5
            case 0x18...0x1F: count += 9
            default: count += 1
            }
        }
        self.start = start
        self.count = count
    }

    /// Whether this is a lowered function type whose values are two words, code and context: `…I`, `e` for escaping, `g` for a context that the callee borrows,
    /// conventions of parameters and results, `_`.
    var isFunctionWithContext: Bool {
        guard count > 3, start[count - 1] == UInt8(ascii: "_") else { return false }
        var index = count - 2
        while index > 0, isLetter(start[index]) {
            if start[index] == UInt8(ascii: "e"), start[index + 1] == UInt8(ascii: "g") {
                // In front of them, optional marks of a substituted signature.
                var front = index - 1
                while front > 0, start[front] == UInt8(ascii: "s") || start[front] == UInt8(ascii: "P") { front -= 1 }
                if start[front] == UInt8(ascii: "I") { return true }
            }
            index -= 1
        }
        return false
    }

    /// Whether this is the source `B<index>`.
    func isBinding(_ index: Int) -> Bool {
        guard count >= 2, start[0] == UInt8(ascii: "B") else { return false }
        var value = 0
        for position in 1..<count {
            guard case UInt8(ascii: "0")...UInt8(ascii: "9") = start[position], value < 1_000_000 else { return false }
            value = value * 10 + Int(start[position] - UInt8(ascii: "0"))
        }
        return value == index
    }

    private func isLetter(_ byte: UInt8) -> Bool { byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z") }

    /// The type, where it does not depend on generic parameters.
    var type: Any.Type? { _getTypeByMangledNameInContext(start, UInt(count), genericContext: nil, genericArguments: nil) }
}
