import CMultiprocessing

/// ABI: the table by which generic code finds what a type does for a protocol. Its first word leads to the description of the conformance, which names the protocol.
///
/// Most tables lie in an image. Those of generic types are made at run time; another process finds its own by type and protocol.
struct WitnessTable {
    let address: UnsafeRawPointer

    /// The description of the conformance, or nil where the word turns out to be something else: memory is only read once it is known to be there.
    private var conformance: UnsafeRawPointer? {
        guard UInt(bitPattern: address) % 8 == 0, mp_image_is_mapped(UInt(bitPattern: address), 8) else { return nil }
        let conformance = address.load(as: UInt.self)
        // Reference to the protocol, to the type, to a pattern, flags.
        guard conformance % 4 == 0, isInImage(conformance, length: 16) else { return nil }
        return UnsafeRawPointer(bitPattern: conformance)
    }

    /// The descriptor of the protocol, or nil where this is no witness table.
    var protocolDescriptor: UnsafeRawPointer? {
        guard let conformance else { return nil }
        let reference = Int(conformance.load(as: Int32.self))
        // With the low bit set, a reference to a word that holds the address.
        return descriptor(conformance + (reference & ~1), isIndirect: reference & 1 != 0, kinds: [.protocol])
    }

    /// The descriptor of the type, where that is a nominal one.
    private var typeDescriptor: UnsafeRawPointer? {
        guard let conformance else { return nil }
        let place = conformance + 4 + Int(conformance.load(fromByteOffset: 4, as: Int32.self))
        switch conformance.load(fromByteOffset: 12, as: UInt32.self) >> 3 & 7 {
        case 0: return descriptor(place, isIndirect: false, kinds: [.structure, .enumeration, .class])
        case 1: return descriptor(place, isIndirect: true, kinds: [.structure, .enumeration, .class])
        default: return nil
        }
    }

    private func descriptor(_ place: UnsafeRawPointer, isIndirect: Bool, kinds: [ContextDescriptor.Kind]) -> UnsafeRawPointer? {
        guard isInImage(UInt(bitPattern: place)) else { return nil }
        let descriptor = isIndirect ? place.load(as: UnsafeRawPointer.self) : place
        guard isInImage(UInt(bitPattern: descriptor)), let kind = ContextDescriptor(address: descriptor).kind, kinds.contains(kind) else {
            return nil
        }
        return descriptor
    }

    /// The type whose table this is. A table does not name it where it is generic; then it is looked for in `types` and their generic arguments, as that
    /// of an associated type (`C.Element: P`) mostly is there (`[T]`).
    func owner(among types: [Any.Type]) -> Any.Type? {
        if let descriptor = typeDescriptor, !ContextDescriptor(address: descriptor).isGeneric {
            var name = MangledName()
            name.append(context: descriptor)
            if let type = name.resolve(), belongs(to: type) { return type }
        }
        var candidates = types.map { TypeMetadata($0) }
        // Arguments are appended while the array is walked; types are finite trees, and only damage could make them large.
        var index = 0
        while index < candidates.count, index < 1000 {
            if belongs(to: candidates[index].type) { return candidates[index].type }
            candidates += TypeReference.genericArguments(of: candidates[index])
            index += 1
        }
        return nil
    }

    /// Whether `type`'s conformance to the protocol is this very one: by the table, or by the description that both tables were made from.
    func belongs(to type: Any.Type) -> Bool {
        guard let descriptor = protocolDescriptor, let table = mp_runtime_witness_table(TypeMetadata(type).address, descriptor) else {
            return false
        }
        return table == address || table.load(as: UInt.self) == address.load(as: UInt.self)
    }

    /// Whether the table itself is part of an image's file: the same in every process, before and after anything has run.
    var isStatic: Bool { isInImage(UInt(bitPattern: address)) }

    private func isInImage(_ address: UInt, length: Int = MemoryLayout<UInt>.size) -> Bool {
        var image = mp_image()
        return mp_image_containing(address, length, Int32(MP_IMAGE_READABLE), &image)
    }
}
