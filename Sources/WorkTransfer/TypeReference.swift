import CMultiprocessing

/// Names a type so that another process that runs the same executable finds it: public or private, local, generic, with packs.
///
/// The name is built from the type's metadata and then resolved here, in this process: what does not lead back to the very same type never leaves it.
enum TypeReference {
    /// Costs microseconds; meant to be done once for each type and kept.
    static func name(of type: Any.Type) throws(TransferError) -> MangledName {
        var structural = MangledName()
        if append(TypeMetadata(type), to: &structural), structural.resolve() == type { return structural }
        // Forms that are not taken apart here (existentials with constraints, functions with attributes) still have the plain name, if all in it is visible.
        if let text = _mangledTypeName(type), text.utf8.allSatisfy({ $0 >= 0x20 }) {
            let plain = MangledName(text)
            if plain.resolve() == type { return plain }
        }
        throw .cannotEncode(
            "the type \(readableName(of: type)) cannot be named to another process; use a struct, an enum or a class that contains it")
    }

    static func type(named name: MangledName) throws(TransferError) -> Any.Type {
        guard let type = name.resolve() else {
            throw .cannotDecode("a type that the host named does not exist in this process; host and worker must be the same build")
        }
        return type
    }

    /// The types among a nominal type's generic arguments.
    static func genericArguments(of metadata: TypeMetadata) -> [TypeMetadata] {
        guard let kind = metadata.kind, [.class, .structure, .enumeration, .optional].contains(kind),
            let address = mp_runtime_context_descriptor(metadata.address)
        else { return [] }
        let descriptor = ContextDescriptor(address: address)
        guard let signature = descriptor.genericSignature, let arguments = metadata.genericArguments(descriptor) else { return [] }
        return signature.parameters.enumerated().compactMap { index, parameter in
            guard case .type = parameter else { return nil }
            let place = arguments + (signature.leadingWords + index) * TypeMetadata.word
            return TypeMetadata(place.load(as: UnsafeRawPointer.self))
        }
    }

    // MARK: Building

    /// False where a part of the type has a form that is not known here.
    private static func append(_ metadata: TypeMetadata, to name: inout MangledName) -> Bool {
        switch metadata.kind {
        case .class, .structure, .enumeration, .optional: return appendNominal(metadata, to: &name)
        case .tuple: return appendTuple(metadata, to: &name)
        case .function: return appendFunction(metadata, to: &name)
        case .existential: return appendExistential(metadata, to: &name)
        case .metatype:
            guard append(metadata.instanceType, to: &name) else { return false }
            name.append("m")
            return true
        case .existentialMetatype:
            guard append(metadata.instanceType, to: &name) else { return false }
            name.append("Xp")
            return true
        case nil: return false
        }
    }

    private static func appendNominal(_ metadata: TypeMetadata, to name: inout MangledName) -> Bool {
        guard let address = mp_runtime_context_descriptor(metadata.address) else { return false }
        let descriptor = ContextDescriptor(address: address)
        name.append(context: address)
        guard descriptor.isGeneric else { return true }
        guard let signature = descriptor.genericSignature, let arguments = metadata.genericArguments(descriptor) else { return false }
        name.append("y")
        for (index, parameter) in signature.parameters.enumerated() {
            let place = arguments + (signature.leadingWords + index) * TypeMetadata.word
            switch parameter {
            case .type:
                guard append(TypeMetadata(place.load(as: UnsafeRawPointer.self)), to: &name) else { return false }
            case .value:
                // Natural numbers, one less than their value, and nothing for zero.
                let value = place.load(as: Int.self)
                guard value >= 0 else { return false }
                name.append(value == 0 ? "$_" : "$\(value - 1)_")
            case .pack(let shapeClass):
                let count = arguments.load(fromByteOffset: shapeClass * TypeMetadata.word, as: Int.self)
                // The low bit says that the pack lies on the heap.
                guard let elements = UnsafeRawPointer(bitPattern: place.load(as: UInt.self) & ~1) else { return false }
                let types = (0..<count).map {
                    TypeMetadata(elements.load(fromByteOffset: $0 * TypeMetadata.word, as: UnsafeRawPointer.self))
                }
                guard appendList(types, to: &name) else { return false }
                name.append("QP")
            }
        }
        name.append("G")
        return true
    }

    /// `y` for an empty list, else the first element, `_`, and the rest.
    private static func appendList(_ types: [TypeMetadata], labels: [Substring] = [], to name: inout MangledName) -> Bool {
        if types.isEmpty { name.append("y") }
        for (index, type) in types.enumerated() {
            guard append(type, to: &name) else { return false }
            if index < labels.count, !labels[index].isEmpty {
                guard labels[index].utf8.allSatisfy({ $0 < 0x80 }) else { return false }
                name.append("\(labels[index].utf8.count)\(labels[index])")
            }
            if index == 0 { name.append("_") }
        }
        return true
    }

    private static func appendTuple(_ metadata: TypeMetadata, to name: inout MangledName) -> Bool {
        let labels = metadata.tupleLabels?.split(separator: " ", omittingEmptySubsequences: false) ?? []
        guard appendList((0..<metadata.tupleCount).map(metadata.tupleElement), labels: labels, to: &name) else { return false }
        name.append("t")
        return true
    }

    private static func appendFunction(_ metadata: TypeMetadata, to name: inout MangledName) -> Bool {
        let (sendable, asynchronous, throwing, escaping): (UInt, UInt, UInt, UInt) = (1 << 30, 1 << 29, 1 << 24, 1 << 26)
        let flags = metadata.functionFlags
        // Conventions, parameter attributes, global actors and typed errors are left to the plain name.
        guard flags & ~(0xffff | sendable | asynchronous | throwing | escaping) == 0, flags & escaping != 0 else { return false }
        guard append(metadata.functionResult, to: &name) else { return false }
        let parameters = (0..<Int(flags & 0xffff)).map(metadata.functionParameter)
        guard appendList(parameters, to: &name) else { return false }
        if !parameters.isEmpty { name.append("t") }
        if flags & asynchronous != 0 { name.append("Ya") }
        if flags & sendable != 0 { name.append("Yb") }
        if flags & throwing != 0 { name.append("K") }
        name.append("c")
        return true
    }

    private static func appendExistential(_ metadata: TypeMetadata, to name: inout MangledName) -> Bool {
        let protocols = metadata.existentialProtocols
        if protocols.isEmpty { name.append("y") }
        for (index, descriptor) in protocols.enumerated() {
            // A set low bit would mark an Objective-C protocol.
            guard UInt(bitPattern: descriptor) & 1 == 0 else { return false }
            name.append(context: descriptor)
            if index == 0 { name.append("_") }
        }
        if let superclass = metadata.existentialSuperclass {
            guard append(superclass, to: &name) else { return false }
            name.append("Xc")
        } else {
            name.append(metadata.existentialIsClassBound ? "Xl" : "p")
        }
        return true
    }
}
