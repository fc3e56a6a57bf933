package import BinaryCoding

/// A function that came from another process, of whatever signature, ready to be called on arguments that did so too.
package protocol AnyInvocation: Sendable {
    /// Decodes the arguments, calls the function, and encodes its result. What was written to `result` before a failure means nothing.
    func invoke(arguments: inout ByteReader, result: ByteWriter) throws(InvocationFailure)

    /// The function's name for messages; see ``HostInvocation/functionName``.
    var functionName: String { get }
}

/// Why an invocation has no result.
package enum InvocationFailure: Error {
    /// The function threw this.
    case thrown(any Error)
    /// The arguments could not be decoded, and the function was not called; or its result could not be encoded.
    case transfer(TransferError)
}
