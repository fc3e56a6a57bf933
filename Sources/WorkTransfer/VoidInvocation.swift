package import BinaryCoding

/// A function without a result, of any signature. See ``Invocation``.
package struct VoidInvocation<each Argument: Codable & Sendable>: InvocationOfWords, Sendable {
    package let function: @Sendable (repeat each Argument) throws -> Void

    package init(_ function: @escaping @Sendable (repeat each Argument) throws -> Void) {
        self.function = function
    }

    /// Encodes all arguments, in order. Throws `TransferError.cannotEncode`, naming the type and the position of the one that could not be.
    package static func encodeArguments(_ argument: repeat each Argument, to writer: ByteWriter) throws {
        var encoder = ArgumentEncoder(writer: writer, signature: { signature })
        repeat try encoder.encode(each argument)
    }

    /// Takes nothing: there to be used in the place of ``Invocation/decodeOutput(from:)``.
    package static func decodeOutput(from reader: inout ByteReader) throws {}

    package func invoke(arguments: inout ByteReader, result: ByteWriter) throws(InvocationFailure) {
        var decoder = ArgumentDecoder(reader: arguments, signature: { Self.signature })
        do {
            try function(repeat try decoder.decode((each Argument).self))
        } catch {
            throw decoder.failure.map(InvocationFailure.transfer) ?? .thrown(error)
        }
        arguments = decoder.reader
    }

    static var signature: String {
        var arguments: [String] = []
        repeat arguments.append(readableName(of: (each Argument).self))
        return "(\(arguments.joined(separator: ", "))) -> Void"
    }

    // MARK: ABI: the only stored property is a function value, hence its two words

    var words: FunctionWords { unsafeBitCast(self, to: FunctionWords.self) }

    init(words: FunctionWords) {
        self = withUnsafeBytes(of: words) { $0.load(as: Self.self) }
    }
}
