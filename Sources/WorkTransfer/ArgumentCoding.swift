import BinaryCoding

/// How far the coding of a function's arguments has come, so that a failure can be told from one of the function, and its place be named.
///
/// On the path of every task: a value without a reference in it, and no closure.
struct ArgumentProgress: BitwiseCopyable {
    private var begun = 0
    private var done = 0

    /// The position, from one, of the argument that could not be coded; nil when it was not an argument that failed.
    var failed: Int? { begun == done ? nil : begun }

    @inline(__always)
    mutating func encode<T: Encodable>(_ argument: T, to writer: ByteWriter) throws {
        begun += 1
        try encodeBinary(argument, to: writer)
        done = begun
    }

    @inline(__always)
    mutating func decode<T: Decodable>(_ type: T.Type, from reader: inout ByteReader) throws -> T {
        begun += 1
        let argument = try decodeBinary(type, from: &reader)
        done = begun
        return argument
    }
}

extension TransferError {
    static func argument(_ position: Int, of types: [String], cannotBeEncodedFor signature: String, _ cause: any Error) -> TransferError {
        .cannotEncode("argument \(position), \(types[position - 1]), of a function \(signature) could not be encoded: \(cause)")
    }

    static func argument(_ position: Int, of types: [String], cannotBeDecodedFor signature: String, _ cause: any Error) -> TransferError {
        .cannotDecode("argument \(position), \(types[position - 1]), of a function \(signature) could not be decoded: \(cause)")
    }

    static func output(_ type: String, cannotBeEncodedFor signature: String, _ cause: any Error) -> TransferError {
        .cannotEncode("the result, \(type), of a function \(signature) could not be encoded: \(cause)")
    }

    static func output(_ type: String, cannotBeDecodedFor signature: String, _ cause: any Error) -> TransferError {
        .cannotDecode("the result, \(type), of a function \(signature) could not be decoded: \(cause)")
    }
}
