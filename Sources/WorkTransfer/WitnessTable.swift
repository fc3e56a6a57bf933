import CMultiprocessing

/// ABI: the table by which generic code finds what a type does for a protocol. Its first word leads to the description of the conformance, which names the protocol.
///
/// Most tables lie in an image. Those of generic types are made at run time; another process finds its own by type and protocol.
struct WitnessTable {
    let address: UnsafeRawPointer

    /// The descriptor of the protocol, or nil where the word turns out to be something else: memory is only read once it is known to be there.
    var protocolDescriptor: UnsafeRawPointer? {
        guard UInt(bitPattern: address) % 8 == 0, mp_image_is_mapped(UInt(bitPattern: address), 8) else { return nil }
        let conformance = address.load(as: UInt.self)
        guard conformance % 4 == 0, isInImage(conformance), let conformance = UnsafeRawPointer(bitPattern: conformance) else { return nil }
        // A relative reference: with the low bit set, to a word that holds the address.
        let reference = Int(conformance.load(as: Int32.self))
        let target = conformance + (reference & ~1)
        guard isInImage(UInt(bitPattern: target)) else { return nil }
        let descriptor = reference & 1 == 0 ? target : target.load(as: UnsafeRawPointer.self)
        guard isInImage(UInt(bitPattern: descriptor)), ContextDescriptor(address: descriptor).kind == .protocol else { return nil }
        return descriptor
    }

    /// Whether the table itself is part of an image.
    var isStatic: Bool { isInImage(UInt(bitPattern: address)) }

    /// Whether `type`'s conformance to the protocol is this very one: by the table, or by the description that both tables were made from.
    func belongs(to type: Any.Type) -> Bool {
        guard let descriptor = protocolDescriptor, let table = mp_runtime_witness_table(TypeMetadata(type).address, descriptor) else { return false }
        return table == address || table.load(as: UInt.self) == address.load(as: UInt.self)
    }

    private func isInImage(_ address: UInt) -> Bool {
        var image = mp_image()
        return mp_image_containing(address, MemoryLayout<UInt>.size, Int32(MP_IMAGE_READABLE), &image)
    }
}
