package import BinaryCoding

/// A function with a result, of any signature.
///
/// The function is kept in the form that generic code calls, which a closure literal has from the start: no thunk is put around it here. A function that
/// returns nothing is a ``VoidInvocation``, as its cast to this form would put one there.
package struct Invocation<each Argument: Codable & Sendable, Output: Codable & Sendable>: InvocationOfWords, Sendable {
    package let function: @Sendable (repeat each Argument) throws -> Output

    package init(_ function: @escaping @Sendable (repeat each Argument) throws -> Output) {
        self.function = function
    }

    /// Encodes all arguments, in order. Throws `TransferError.cannotEncode`, naming the type and the position of the one that could not be.
    package static func encodeArguments(_ argument: repeat each Argument, to writer: ByteWriter) throws {
        var encoder = ArgumentEncoder(writer: writer, signature: { signature })
        repeat try encoder.encode(each argument)
    }

    /// Decodes what ``invoke(arguments:result:)`` encoded. Throws `TransferError.cannotDecode`, naming the type.
    package static func decodeOutput(from reader: inout ByteReader) throws -> Output {
        do {
            return try decodeBinary(Output.self, from: &reader)
        } catch {
            throw TransferError.cannotDecode("the result, \(readableName(of: Output.self)), of a function \(signature) could not be decoded: \(error)")
        }
    }

    package func invoke(arguments: inout ByteReader, result: ByteWriter) throws(InvocationFailure) {
        var decoder = ArgumentDecoder(reader: arguments, signature: { Self.signature })
        let output: Output
        do {
            output = try function(repeat try decoder.decode((each Argument).self))
        } catch {
            throw decoder.failure.map(InvocationFailure.transfer) ?? .thrown(error)
        }
        arguments = decoder.reader
        do {
            try encodeBinary(output, to: result)
        } catch {
            throw .transfer(
                .cannotEncode("the result, \(readableName(of: Output.self)), of a function \(Self.signature) could not be encoded: \(error)"))
        }
    }

    static var signature: String {
        var arguments: [String] = []
        repeat arguments.append(readableName(of: (each Argument).self))
        return "(\(arguments.joined(separator: ", "))) -> \(readableName(of: Output.self))"
    }

    // MARK: ABI: the only stored property is a function value, hence its two words

    var words: FunctionWords { unsafeBitCast(self, to: FunctionWords.self) }

    init(words: FunctionWords) {
        self = withUnsafeBytes(of: words) { $0.load(as: Self.self) }
    }
}
