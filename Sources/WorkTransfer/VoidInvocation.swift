public import BinaryCoding

/// A function without a result, of any signature. See ``Invocation``.
@usableFromInline
package struct VoidInvocation<each Argument: Codable & Sendable>: InvocationOfWords, Sendable {
    @usableFromInline package let function: @Sendable (repeat each Argument) throws -> Void

    @inlinable
    package init(_ function: @escaping @Sendable (repeat each Argument) throws -> Void) {
        self.function = function
    }

    @usableFromInline
    package var key: FunctionKey? {
        var key = FunctionKey(.packVoid)
        repeat key.append((each Argument).self)
        return key.append(words) ? key : nil
    }

    @usableFromInline
    package var erased: ErasedInvocation { ErasedInvocation(self) }

    /// Encodes all arguments, in order. Throws `TransferError.cannotEncode`, naming the type and the position of the one that could not be.
    @usableFromInline
    package static func encodeArguments(_ argument: repeat each Argument, to writer: ByteWriter) throws {
        var progress = ArgumentProgress()
        do {
            repeat try progress.encode(each argument, to: writer)
        } catch {
            throw Self.argument(progress.failed ?? 1, cannotBeEncoded: error)
        }
    }

    /// Takes nothing: there to be used in the place of ``Invocation/decodeOutput(from:)``.
    @usableFromInline
    package static func decodeOutput(from reader: inout ByteReader) throws {}

    package func invoke(arguments: inout ByteReader, result: ByteWriter) throws(InvocationFailure) {
        var progress = ArgumentProgress()
        do {
            try function(repeat try progress.decode((each Argument).self, from: &arguments))
        } catch {
            guard let position = progress.failed else { throw .thrown(error) }
            throw .transfer(Self.argument(position, cannotBeDecoded: error))
        }
    }

    static var argumentTypes: [String] {
        var types: [String] = []
        repeat types.append(readableName(of: (each Argument).self))
        return types
    }

    static var argumentForms: [LeafForm]? {
        var forms: [LeafForm?] = []
        repeat forms.append(LeafForm.of((each Argument).self))
        let leaves = forms.compactMap { $0 }
        return leaves.count == forms.count ? leaves : nil
    }

    static var outputType: String { "Void" }
    static var outputForm: LeafForm? { nil }
    static var convention: CallConvention { .packVoid }

    // MARK: ABI: the only stored property is a function value, hence its two words

    var words: FunctionWords { unsafeBitCast(self, to: FunctionWords.self) }

    init(words: FunctionWords) {
        self = withUnsafeBytes(of: words) { $0.load(as: Self.self) }
    }
}
