package import BinaryCoding

/// Errors on their way from a worker to its host: as themselves where their type allows it, else as a ``RemoteError`` that says what they said.
package enum ErrorTransfer {
    /// The first byte of an error.
    private enum Form: UInt8 {
        case cancellation = 1
        case remote = 2
        /// The text as for `remote`, the type, the value.
        case itself = 3
    }

    /// Appends `error`. Never fails: what cannot travel as itself goes as a ``RemoteError``. Where `writer` has no memory even for that, what it holds
    /// afterwards decodes as a ``TransferError``.
    package static func encode(_ error: any Error, to writer: ByteWriter) {
        if error is CancellationError {
            try? writer.append(Form.cancellation.rawValue)
            return
        }
        let text = RemoteError(typeName: readableName(of: type(of: error)), description: "\(error)")
        // Into memory of its own first: an encoding that fails half-way leaves nothing behind.
        let attempt = HeapByteWriter()
        let encoded = (try? encode(error, text: text, to: attempt)) != nil
        if !encoded {
            attempt.removeAll()
            guard (try? attempt.append(Form.remote.rawValue)) != nil, (try? encodeBinary(text, to: attempt)) != nil else { return }
        }
        guard (try? writer.append(contentsOf: attempt.written)) != nil else { return }
        writer.retained += attempt.retained
    }

    private static func encode(_ error: any Error, text: RemoteError, to writer: ByteWriter) throws {
        guard let error = error as? any Error & Codable else { throw TransferError.cannotEncode("not Codable") }
        try writer.append(Form.itself.rawValue)
        try encodeBinary(text, to: writer)
        var type = PortableWriter()
        try TypeReference.name(of: Swift.type(of: error)).write(to: &type)
        let bytes = type.finished()
        try writer.append(UInt32(bytes.count))
        try bytes.withUnsafeBytes { try writer.append(contentsOf: $0) }
        try encodeBinary(error, to: writer)
    }

    /// Takes what ``encode(_:to:)`` wrote. The bytes may be anything: what does not hold an error is returned as `TransferError.cannotDecode`.
    package static func decode(from reader: inout ByteReader) -> any Error {
        do {
            switch Form(rawValue: try reader.read(UInt8.self)) {
            case .cancellation: return CancellationError()
            case .remote: return try decodeBinary(RemoteError.self, from: &reader)
            case .itself: return try decodeItself(from: &reader)
            case nil: return TransferError.cannotDecode("the error that a task threw arrived damaged")
            }
        } catch {
            return TransferError.cannotDecode("the error that a task threw could not be read: \(error)")
        }
    }

    private static func decodeItself(from reader: inout ByteReader) throws -> any Error {
        let text = try decodeBinary(RemoteError.self, from: &reader)
        do {
            var typeReader = try PortableReader(try reader.take(Int(try reader.read(UInt32.self))))
            let type = try TypeReference.type(named: MangledName(from: &typeReader))
            guard let type = type as? any (Error & Decodable).Type else { throw PortableReader.damaged }
            return try decode(type, from: &reader)
        } catch {
            // The original would be lost; its text is not.
            return TransferError.cannotDecode("a task threw \(text.typeName) (\(text.description)), which could not be decoded: \(error)")
        }
    }

    private static func decode<E: Error & Decodable>(_ type: E.Type, from reader: inout ByteReader) throws -> any Error {
        try decodeBinary(type, from: &reader)
    }
}
