import CMultiprocessing

/// Takes a function value apart into what another process needs to make the same one: its code and, through all layers of thunks, what their boxes hold.
///
/// The wire form is in README.md; ``rebuild(from:)`` is the counterpart of ``write(_:to:)``.
enum FunctionReference {
    /// More layers than casts can heap up by accident; bounds the recursion on bytes that may be anything.
    static let depthLimit = 32

    // MARK: Host side

    static func write(_ function: FunctionWords, to writer: inout PortableWriter, depth: Int = 0) throws(TransferError) {
        precondition(depth < depthLimit, "a function with an identity is not wrapped as often")
        guard let code = UnsafeRawPointer(bitPattern: function.code) else { throw CaptureRefusal.unknown.asTransferError }
        try writer.append(address: code, length: 1, executable: true, what: "the function's code")
        guard let context = UnsafeRawPointer(bitPattern: function.context) else { return writer.append(UInt8(0)) }
        let box: ThunkBox
        do throws(CaptureRefusal) { box = try ThunkBox(context) } catch { throw error.asTransferError }
        writer.append(UInt8(1))
        try writer.append(address: box.metadata, length: ThunkBox.metadataSize, what: "the layout of a closure")
        let types = (0..<box.shape.types).map { TypeMetadata(box.type($0)).type }
        writer.append(UInt16(types.count))
        for type in types { try TypeReference.name(of: type).write(to: &writer) }
        writer.append(UInt16(box.shape.witnessTables))
        for index in 0..<box.shape.witnessTables {
            try write(WitnessTable(address: box.witnessTable(index)), types: types, to: &writer)
        }
        writer.append(UInt16(box.shape.functions))
        for index in 0..<box.shape.functions { try write(box.function(index), to: &writer, depth: depth + 1) }
    }

    /// A static table goes as its place, another as the type and the protocol that it is for.
    private static func write(_ table: WitnessTable, types: [Any.Type], to writer: inout PortableWriter) throws(TransferError) {
        guard let descriptor = table.protocolDescriptor else { throw CaptureRefusal.genericContext.asTransferError }
        if table.isStatic {
            writer.append(UInt8(0))
            return try writer.append(address: table.address, length: TypeMetadata.word, what: "a conformance")
        }
        guard let owner = table.owner(among: types) else { throw CaptureRefusal.genericContext.asTransferError }
        writer.append(UInt8(1))
        try TypeReference.name(of: owner).write(to: &writer)
        try writer.append(address: descriptor, length: 4, what: "the descriptor of a protocol")
    }

    // MARK: Worker side

    /// Makes the function of the bytes. The boxes it needs are made once for each call of this function, and live for ever.
    static func rebuild(from reader: inout PortableReader, depth: Int = 0) throws(TransferError) -> FunctionWords {
        guard depth < depthLimit else { throw PortableReader.damaged }
        let code = try reader.address(length: 1, executable: true)
        guard try reader.integer(UInt8.self) == 1 else { return FunctionWords(code: UInt(bitPattern: code), context: 0) }
        let metadata = try reader.address(length: ThunkBox.metadataSize)
        guard metadata.load(as: UInt.self) == ThunkBox.heapLocalVariable else { throw PortableReader.damaged }
        let shape: ThunkBox.Shape
        do throws(CaptureRefusal) { shape = try ThunkBox.shape(of: metadata) } catch { throw PortableReader.damaged }
        var types: [Any.Type] = []
        guard Int(try reader.integer(UInt16.self)) == shape.types else { throw PortableReader.damaged }
        for _ in 0..<shape.types { types.append(try TypeReference.type(named: MangledName(from: &reader))) }
        var words = types.map { UInt(bitPattern: TypeMetadata($0).address) }
        guard Int(try reader.integer(UInt16.self)) == shape.witnessTables else { throw PortableReader.damaged }
        for _ in 0..<shape.witnessTables { words.append(UInt(bitPattern: try witnessTable(from: &reader))) }
        guard Int(try reader.integer(UInt16.self)) == shape.functions else { throw PortableReader.damaged }
        for _ in 0..<shape.functions {
            let function = try rebuild(from: &reader, depth: depth + 1)
            words += [function.code, function.context]
        }
        let box = mp_runtime_allocate(metadata, shape.size, MemoryLayout<UInt>.alignment - 1)
        for (index, word) in words.enumerated() {
            box.storeBytes(of: word, toByteOffset: ThunkBox.headerSize + index * MemoryLayout<UInt>.size, as: UInt.self)
        }
        return FunctionWords(code: UInt(bitPattern: code), context: UInt(bitPattern: box))
    }

    private static func witnessTable(from reader: inout PortableReader) throws(TransferError) -> UnsafeRawPointer {
        guard try reader.integer(UInt8.self) == 1 else {
            let table = try reader.address(length: TypeMetadata.word)
            guard WitnessTable(address: table).protocolDescriptor != nil else { throw PortableReader.damaged }
            return table
        }
        let owner = try TypeReference.type(named: MangledName(from: &reader))
        let descriptor = try reader.address(length: 4)
        guard ContextDescriptor(address: descriptor).kind == .protocol,
            let table = mp_runtime_witness_table(TypeMetadata(owner).address, descriptor)
        else { throw PortableReader.damaged }
        return table
    }
}
