public import BinaryCoding

/// A function of one parameter that is no pack, as `map` takes it. To make an ``Invocation`` of it would put a thunk around it, and a box for that on the heap.
@usableFromInline
package struct UnaryInvocation<Argument: Codable & Sendable, Output: Codable & Sendable>: InvocationOfWords, Sendable {
    package let function: @Sendable (Argument) throws -> Output

    package init(_ function: @escaping @Sendable (Argument) throws -> Output) {
        self.function = function
    }

    package var key: FunctionKey? {
        var key = FunctionKey(.unary)
        key.append(Argument.self)
        key.append(Output.self)
        return key.append(words) ? key : nil
    }

    /// Encodes the argument. Throws `TransferError.cannotEncode`, naming its type.
    @usableFromInline
    package static func encodeArguments(_ argument: Argument, to writer: ByteWriter) throws {
        do { try encodeBinary(argument, to: writer) } catch { throw Self.argument(1, cannotBeEncoded: error) }
    }

    /// Decodes what ``invoke(arguments:result:)`` encoded. Throws `TransferError.cannotDecode`, naming the type.
    @usableFromInline
    package static func decodeOutput(from reader: inout ByteReader) throws -> Output {
        do { return try decodeBinary(Output.self, from: &reader) } catch { throw output(cannotBeDecoded: error) }
    }

    package func invoke(arguments: inout ByteReader, result: ByteWriter) throws(InvocationFailure) {
        var progress = ArgumentProgress()
        let output: Output
        do {
            output = try function(progress.decode(Argument.self, from: &arguments))
        } catch {
            guard let position = progress.failed else { throw .thrown(error) }
            throw .transfer(Self.argument(position, cannotBeDecoded: error))
        }
        do {
            try encodeBinary(output, to: result)
        } catch {
            throw .transfer(Self.output(cannotBeEncoded: error))
        }
    }

    static var argumentTypes: [String] { [readableName(of: Argument.self)] }
    static var argumentForms: [LeafForm]? { LeafForm.of(Argument.self).map { [$0] } }

    static var outputType: String { readableName(of: Output.self) }
    static var outputForm: LeafForm? { LeafForm.of(Output.self) }
    static var convention: CallConvention { .unary }

    // MARK: ABI: the only stored property is a function value, hence its two words

    var words: FunctionWords { unsafeBitCast(self, to: FunctionWords.self) }

    init(words: FunctionWords) {
        self = withUnsafeBytes(of: words) { $0.load(as: Self.self) }
    }
}

/// A function of one parameter without a result. See ``UnaryInvocation``.
@usableFromInline
package struct UnaryVoidInvocation<Argument: Codable & Sendable>: InvocationOfWords, Sendable {
    package let function: @Sendable (Argument) throws -> Void

    package init(_ function: @escaping @Sendable (Argument) throws -> Void) {
        self.function = function
    }

    package var key: FunctionKey? {
        var key = FunctionKey(.unaryVoid)
        key.append(Argument.self)
        return key.append(words) ? key : nil
    }

    /// Encodes the argument. Throws `TransferError.cannotEncode`, naming its type.
    @usableFromInline
    package static func encodeArguments(_ argument: Argument, to writer: ByteWriter) throws {
        do { try encodeBinary(argument, to: writer) } catch { throw Self.argument(1, cannotBeEncoded: error) }
    }

    /// Takes nothing: there to be used in the place of ``Invocation/decodeOutput(from:)``.
    @usableFromInline
    package static func decodeOutput(from reader: inout ByteReader) throws {}

    package func invoke(arguments: inout ByteReader, result: ByteWriter) throws(InvocationFailure) {
        var progress = ArgumentProgress()
        do {
            try function(progress.decode(Argument.self, from: &arguments))
        } catch {
            guard let position = progress.failed else { throw .thrown(error) }
            throw .transfer(Self.argument(position, cannotBeDecoded: error))
        }
    }

    static var argumentTypes: [String] { [readableName(of: Argument.self)] }
    static var argumentForms: [LeafForm]? { LeafForm.of(Argument.self).map { [$0] } }

    static var outputType: String { "Void" }
    static var outputForm: LeafForm? { nil }
    static var convention: CallConvention { .unaryVoid }

    // MARK: ABI: the only stored property is a function value, hence its two words

    var words: FunctionWords { unsafeBitCast(self, to: FunctionWords.self) }

    init(words: FunctionWords) {
        self = withUnsafeBytes(of: words) { $0.load(as: Self.self) }
    }
}
