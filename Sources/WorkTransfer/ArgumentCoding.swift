import BinaryCoding

/// Encodes a function's arguments one after the other, and knows which one it is at.
struct ArgumentEncoder {
    let writer: ByteWriter
    /// The function's type, for messages.
    let signature: () -> String
    private var position = 0

    init(writer: ByteWriter, signature: @escaping () -> String) {
        self.writer = writer
        self.signature = signature
    }

    mutating func encode<T: Encodable>(_ argument: T) throws(TransferError) {
        position += 1
        do {
            try encodeBinary(argument, to: writer)
        } catch {
            throw .cannotEncode("argument \(position), \(readableName(of: T.self)), of a function \(signature()) could not be encoded: \(error)")
        }
    }
}

/// Decodes a function's arguments one after the other, and tells its own failures from errors of the function that is called with them.
struct ArgumentDecoder {
    var reader: ByteReader
    /// The function's type, for messages.
    let signature: () -> String
    private(set) var failure: TransferError?
    private var position = 0

    init(reader: ByteReader, signature: @escaping () -> String) {
        self.reader = reader
        self.signature = signature
    }

    mutating func decode<T: Decodable>(_ type: T.Type) throws(TransferError) -> T {
        position += 1
        do {
            return try decodeBinary(type, from: &reader)
        } catch {
            let failure = TransferError.cannotDecode(
                "argument \(position), \(readableName(of: T.self)), of a function \(signature()) could not be decoded: \(error)")
            self.failure = failure
            throw failure
        }
    }
}
