/// ABI: the layout of type metadata, as far as a type's name can be read from it. Every offset counts from the metadata's address point.
///
/// The source is `swift/ABI/Metadata.h`. Nothing that is read here is trusted: whoever builds a name from it resolves that and compares.
///
/// Metadata never changes once it is complete, and lives for ever.
struct TypeMetadata: @unchecked Sendable {
    enum Kind: UInt {
        case `class` = 0
        case structure = 0x200
        case enumeration = 0x201
        case optional = 0x202
        case tuple = 0x301
        case function = 0x302
        case existential = 0x303
        case metatype = 0x304
        case existentialMetatype = 0x306
    }

    static let word = MemoryLayout<UInt>.size

    let address: UnsafeRawPointer

    init(_ address: UnsafeRawPointer) { self.address = address }

    init(_ type: Any.Type) { address = unsafeBitCast(type, to: UnsafeRawPointer.self) }

    /// - Precondition: the address is that of complete metadata.
    var type: Any.Type { unsafeBitCast(address, to: Any.Type.self) }

    /// Nil for kinds that have no part in names here.
    var kind: Kind? { Kind(rawValue: load(0)) }

    func load<T: BitwiseCopyable>(_ offset: Int, as type: T.Type = T.self) -> T { address.load(fromByteOffset: offset, as: T.self) }

    // MARK: Nominal types

    /// Where the generic arguments begin; nil where that depends on a superclass in another library.
    func genericArguments(_ descriptor: ContextDescriptor) -> UnsafeRawPointer? {
        guard descriptor.kind == .class else { return address + 2 * Self.word }
        return descriptor.classGenericArgumentsOffset.map { address + $0 }
    }

    // MARK: Tuples: kind, count, labels, then a type and an offset for each element

    var tupleCount: Int { load(Self.word) }
    /// Each label followed by a space; nil where there are none.
    var tupleLabels: String? {
        let text: UnsafePointer<CChar>? = load(2 * Self.word)
        return text.map { String(cString: $0) }
    }
    func tupleElement(_ index: Int) -> TypeMetadata { TypeMetadata(load((3 + 2 * index) * Self.word, as: UnsafeRawPointer.self)) }

    // MARK: Functions: kind, flags, result, then a type for each parameter

    var functionFlags: UInt { load(Self.word) }
    var functionResult: TypeMetadata { TypeMetadata(load(2 * Self.word, as: UnsafeRawPointer.self)) }
    func functionParameter(_ index: Int) -> TypeMetadata { TypeMetadata(load((3 + index) * Self.word, as: UnsafeRawPointer.self)) }

    // MARK: Metatypes: kind, instance type

    var instanceType: TypeMetadata { TypeMetadata(load(Self.word, as: UnsafeRawPointer.self)) }

    // MARK: Existentials: kind, flags and number of protocols, a superclass if there is one, the protocols

    var existentialFlags: UInt32 { load(Self.word) }
    var existentialProtocols: [UnsafeRawPointer] {
        let count = load(Self.word + 4, as: UInt32.self)
        let first = existentialFlags & 0x4000_0000 == 0 ? 2 : 3
        return (0..<Int(count)).map { load((first + $0) * Self.word, as: UnsafeRawPointer.self) }
    }
    var existentialSuperclass: TypeMetadata? {
        existentialFlags & 0x4000_0000 == 0 ? nil : TypeMetadata(load(2 * Self.word, as: UnsafeRawPointer.self))
    }
    /// Whether only class instances fit, by whatever rule.
    var existentialIsClassBound: Bool { existentialFlags & 0x8000_0000 == 0 }
}
