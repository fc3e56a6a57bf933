/// ABI: the static description of a nominal type, which lies in the image of its module, and its generic signature.
///
/// The source is `swift/ABI/Metadata.h` and `GenericContext.h`. See ``TypeMetadata`` on trust.
struct ContextDescriptor {
    enum Kind: UInt32 {
        case `protocol` = 3
        case `class` = 16
        case structure = 17
        case enumeration = 18
    }

    /// What a generic parameter takes.
    enum Parameter {
        case type
        case pack(shapeClass: Int)
        case value
    }

    let address: UnsafeRawPointer

    private func load<T: BitwiseCopyable>(_ offset: Int, as type: T.Type = T.self) -> T { address.load(fromByteOffset: offset, as: T.self) }

    private var flags: UInt32 { load(0) }
    var kind: Kind? { Kind(rawValue: flags & 0x1f) }
    var isGeneric: Bool { flags & 0x80 != 0 }

    /// Flags (16 bits above), with the length of a class's own part of the metadata; nil where a superclass in another library decides.
    var classGenericArgumentsOffset: Int? {
        let kindFlags = flags >> 16
        guard kindFlags & (1 << 13) == 0 else { return nil }
        let (negative, positive, own) = (load(24, as: UInt32.self), load(28, as: UInt32.self), load(32, as: UInt32.self))
        let words = kindFlags & (1 << 12) != 0 ? -Int(negative) : Int(positive) - Int(own)
        return words * TypeMetadata.word
    }

    /// The generic parameters and the number of words in front of the first argument; nil for a signature of a form that is not known here.
    var genericSignature: (parameters: [Parameter], leadingWords: Int)? {
        guard isGeneric, let kind, kind != .protocol else { return nil }
        // Instantiation cache and pattern come before the counts; the parameters are a byte each, filled up to a multiple of four.
        let header = (kind == .class ? 44 : 28) + 8
        let parameterCount = Int(load(header, as: UInt16.self))
        let requirementCount = Int(load(header + 2, as: UInt16.self))
        let genericFlags = load(header + 6, as: UInt16.self)
        let packHeader = header + 8 + (parameterCount + 3) / 4 * 4 + requirementCount * 12
        let hasPacks = genericFlags & 1 != 0
        let shapeClasses = hasPacks ? Int(load(packHeader + 2, as: UInt16.self)) : 0
        var packShapes = (0..<(hasPacks ? Int(load(packHeader, as: UInt16.self)) : 0)).compactMap { index -> Int? in
            let pack = packHeader + 4 + index * 8
            return load(pack, as: UInt16.self) == 0 ? Int(load(pack + 4, as: UInt16.self)) : nil
        }[...]
        var parameters: [Parameter] = []
        for index in 0..<parameterCount {
            let parameter = load(header + 8 + index, as: UInt8.self)
            // A parameter without the top bit is equal to something else, and has no argument of its own.
            guard parameter & 0x80 != 0 else { return nil }
            switch parameter & 0x3f {
            case 0: parameters.append(.type)
            case 1:
                guard let shape = packShapes.popFirst() else { return nil }
                parameters.append(.pack(shapeClass: shape))
            case 2: parameters.append(.value)
            default: return nil
            }
        }
        return (parameters, shapeClasses)
    }
}
