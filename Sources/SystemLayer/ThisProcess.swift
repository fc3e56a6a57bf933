import CMultiprocessing
import Glibc

/// What a worker does to its process.
package enum ThisProcess {
    package static func ignoreInterrupt() { mp_signals_ignore_interrupt() }

    /// Writes out what has been printed, so that it is seen before what comes of it.
    package static func flushOutput() { mp_flush_output() }

    /// Also what has been printed to stderr.
    package static func flushAll() { mp_flush_standard() }

    /// Ends the process without running exit handlers, which are its parent's.
    package static func end(code: Int32) -> Never {
        mp_flush_standard()
        mp_process_end(code)
    }

    /// Caps private memory at what is used now plus `bytes`.
    package static func limitPrivateMemory(bytes: UInt64) throws(SystemError) {
        try check(mp_limit_private_memory(bytes), "limiting the memory of a worker")
    }

    /// Resident private memory in bytes, or nil where the kernel does not say.
    package static var privateMemory: UInt64? { UInt64(exactly: mp_private_memory()) }

    /// The working directory; nil where it has been removed.
    package static var directory: String? {
        guard let path = getcwd(nil, 0) else { return nil }
        defer { free(path) }
        return String(cString: path)
    }

    package static func changeDirectory(to path: String) throws(SystemError) {
        if chdir(path) != 0 { throw SystemError(code: errno, call: "changing to the directory \(path)") }
    }

    package static func setEnvironment(_ name: String, _ value: String) { setenv(name, value, 1) }
}
