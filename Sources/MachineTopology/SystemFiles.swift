internal import Glibc
internal import SystemLayer

/// The kernel's files (/sys, /proc) below a root, which is "/" but for tests that bring a machine of their own.
struct SystemFiles {
    private let root: String

    init(root: String) {
        // Every path asked for begins with a slash.
        self.root = root.hasSuffix("/") ? String(root.dropLast()) : root
    }

    /// The contents of a file, or nil if it cannot be read: files in /sys come and go with kernels and architectures, so
    /// whoever asks has a fallback, and which error it was makes no difference to it.
    func text(_ path: String) -> String? { textOfSmallFile(root + path) }

    func line(_ path: String) -> Substring? {
        text(path).map { trimmed($0[...]) }
    }

    func integer(_ path: String) -> Int? {
        line(path).flatMap { Int($0) }
    }

    func ids(_ path: String) -> [Int]? {
        line(path).flatMap { IDList.parse($0) }
    }

    func exists(_ path: String) -> Bool {
        access(root + path, F_OK) == 0
    }
}
