import BinaryCoding

/// A function that is to run in another process.
package protocol HostInvocation {
    /// The function's identity within this process, for caches. Cheap. Throws `TransferError.capturesState` for a closure that captures anything.
    var identity: FunctionIdentity { get throws }

    /// A key for caches that is cheaper yet; nil for functions that ``identity`` must tell apart, or refuse.
    var key: FunctionKey? { get }

    /// The function in a form that ``resolveInvocation(_:)`` understands in any process that runs this executable. Costs microseconds: done once for each
    /// identity. Throws `TransferError.capturesState` where ``identity`` does, and for a generic context that cannot be told from here; `cannotEncode` for a
    /// type or a function that only this process has.
    func describe() throws -> [UInt8]

    /// The function's name for messages: that of its symbol, else its signature and its place. Costs milliseconds: not for the normal path.
    var functionName: String { get }
}

/// Any of them, for code that is compiled into the user's module and must not know the protocol.
@usableFromInline
package struct ErasedInvocation: Sendable {
    package let invocation: any HostInvocation & Sendable

    package init(_ invocation: some HostInvocation & Sendable) { self.invocation = invocation }
}

/// How a function value is called: what its type says in generic code, where it was made a value.
enum CallConvention: UInt8 {
    /// A pack of parameters, and a result or none.
    case pack, packVoid
    /// One parameter that is no pack.
    case unary, unaryVoid
}

/// What all invocations do in the same way.
protocol InvocationOfWords: HostInvocation, AnyInvocation {
    var words: FunctionWords { get }
    init(words: FunctionWords)
    static var convention: CallConvention { get }
    /// The types of the arguments, for messages.
    static var argumentTypes: [String] { get }
    /// The type of the result, for messages.
    static var outputType: String { get }
    /// How the arguments travel; nil unless each is a leaf.
    static var argumentForms: [LeafForm]? { get }
    /// How the result travels; nil where it is none, or no leaf.
    static var outputForm: LeafForm? { get }
}

extension InvocationOfWords {
    package var identity: FunctionIdentity {
        get throws { try FunctionIdentity(words, type: Self.self) }
    }

    package func describe() throws -> [UInt8] {
        // What has no identity could not be kept in a cache: refuse it here in the same words.
        _ = try identity
        var writer = PortableWriter()
        try TypeReference.name(of: Self.self).write(to: &writer)
        try FunctionReference.write(words, to: &writer)
        return writer.finished()
    }

    package var functionName: String { FunctionName.name(of: words, signature: Self.signature) }

    /// The function's type, as one would write it.
    static var signature: String { "(\(argumentTypes.joined(separator: ", "))) -> \(outputType)" }

    // What can go wrong with a call's values: functions of their own, as they are long and rare.

    /// - Parameter position: which argument, from one.
    @inline(never)
    static func argument(_ position: Int, cannotBeEncoded cause: any Error) -> TransferError {
        .argument(position, of: argumentTypes, cannotBeEncodedFor: signature, cause)
    }

    @inline(never)
    static func argument(_ position: Int, cannotBeDecoded cause: any Error) -> TransferError {
        .argument(position, of: argumentTypes, cannotBeDecodedFor: signature, cause)
    }

    @inline(never)
    static func output(cannotBeEncoded cause: any Error) -> TransferError { .output(outputType, cannotBeEncodedFor: signature, cause) }

    @inline(never)
    static func output(cannotBeDecoded cause: any Error) -> TransferError { .output(outputType, cannotBeDecodedFor: signature, cause) }
}

/// Makes the function that ``HostInvocation/describe()`` described, in this process.
///
/// The bytes may be anything: what is damaged or belongs to another executable throws `TransferError.cannotDecode`. What it makes lives for ever: resolve a
/// description once, and keep the result.
package func resolveInvocation(_ description: UnsafeRawBufferPointer) throws -> ResolvedInvocation {
    ResolvedInvocation(try rebuildInvocation(description))
}

/// The same in the form it was described in.
func rebuildInvocation(_ description: UnsafeRawBufferPointer) throws -> any InvocationOfWords {
    var reader = try PortableReader(description)
    let type = try TypeReference.type(named: MangledName(from: &reader))
    guard let invocation = type as? any InvocationOfWords.Type else { throw PortableReader.damaged }
    let words = try FunctionReference.rebuild(from: &reader)
    guard reader.isAtEnd else { throw PortableReader.damaged }
    // Whatever the words refer to was made to live for ever: it has no other owner.
    return invocation.init(words: words)
}
