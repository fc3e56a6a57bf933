import Glibc

/// A system call that failed: which one, and the kernel's reason.
public struct SystemError: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// An `errno` value.
    public let code: Int32
    /// The call that failed, and on what.
    public let call: String

    package init(code: Int32, call: String) {
        self.code = code
        self.call = call
    }

    /// The call, the kernel's reason, and what to do where that is known.
    public var description: String {
        let advice =
            switch code {
            case EMFILE: " Close descriptors, or raise the limit on them (ulimit -n)."
            case ENFILE: " The machine has no descriptors left: close some, or raise fs.file-max."
            case EAGAIN: " End processes or threads, or raise the limit on them (ulimit -u; pids.max of the cgroup)."
            case EFBIG: " Ask for less, or raise the limit on the size of files (ulimit -f)."
            case ENOMEM: " Free memory, or start fewer processes."
            case ETOOMANYREFS: " More descriptors are on their way than the limit (ulimit -n) allows: receive some, or raise it."
            default: ""
            }
        return "\(call): \(String(cString: strerror(code))) (errno \(code)).\(advice)"
    }
}

/// Turns the shim's convention, a negative errno value on failure, into a thrown ``SystemError``.
@discardableResult @inline(__always)
package func check(_ result: Int32, _ call: @autoclosure () -> String) throws(SystemError) -> Int32 {
    if result < 0 { throw SystemError(code: -result, call: call()) }
    return result
}
