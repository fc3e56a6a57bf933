import Glibc

/// A system call that failed: which one, and the kernel's reason.
package struct SystemError: Error, Sendable, Hashable, CustomStringConvertible {
    /// An `errno` value.
    package let code: Int32
    /// The call that failed, and on what.
    package let call: String

    package init(code: Int32, call: String) {
        self.code = code
        self.call = call
    }

    package var description: String { "\(call): \(String(cString: strerror(code))) (errno \(code))" }
}

/// Turns the shim's convention, a negative errno value on failure, into a thrown ``SystemError``.
@discardableResult @inline(__always)
package func check(_ result: Int32, _ call: @autoclosure () -> String) throws(SystemError) -> Int32 {
    if result < 0 { throw SystemError(code: -result, call: call()) }
    return result
}
