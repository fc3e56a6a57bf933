public import BinaryCoding

/// A function with a result, of any signature.
///
/// The function is kept in the form that generic code calls, which a closure literal has from the start: no thunk is put around it here. A function that
/// returns nothing is a ``VoidInvocation``, as its cast to this form would put one there.
@usableFromInline
package struct Invocation<each Argument: Codable & Sendable, Output: Codable & Sendable>: InvocationOfWords, Sendable {
    @usableFromInline package let function: @Sendable (repeat each Argument) throws -> Output

    @inlinable
    package init(_ function: @escaping @Sendable (repeat each Argument) throws -> Output) {
        self.function = function
    }

    @usableFromInline
    package var key: FunctionKey? {
        var key = FunctionKey(.pack)
        repeat key.append((each Argument).self)
        key.append(Output.self)
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

    /// Decodes what ``invoke(arguments:result:)`` encoded. Throws `TransferError.cannotDecode`, naming the type.
    @usableFromInline
    package static func decodeOutput(from reader: inout ByteReader) throws -> Output {
        do { return try decodeBinary(Output.self, from: &reader) } catch { throw output(cannotBeDecoded: error) }
    }

    package func invoke(arguments: inout ByteReader, result: ByteWriter) throws(InvocationFailure) {
        var progress = ArgumentProgress()
        let output: Output
        do {
            output = try function(repeat try progress.decode((each Argument).self, from: &arguments))
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

    static var outputType: String { readableName(of: Output.self) }
    static var outputForm: LeafForm? { LeafForm.of(Output.self) }
    static var convention: CallConvention { .pack }

    // MARK: ABI: the only stored property is a function value, hence its two words

    var words: FunctionWords { unsafeBitCast(self, to: FunctionWords.self) }

    init(words: FunctionWords) {
        self = withUnsafeBytes(of: words) { $0.load(as: Self.self) }
    }
}
