import Glibc

/// A process of this machine, as /proc shows it.
package struct ProcessEntry: Sendable, Hashable, CustomStringConvertible {
    package let pid: Int32
    package let parent: Int32
    package let name: String
    /// `R`, `S`, `Z`, … as in `ps`.
    package let state: Character

    package var isZombie: Bool { state == "Z" || state == "X" }
    package var description: String { "\(pid) (\(name), \(state), child of \(parent))" }

    /// nil when there is no such process.
    package init?(pid: Int32) {
        // "pid (name) state parent …", where the name may hold anything, parentheses too.
        guard let text = readAll("/proc/\(pid)/stat"), let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")") else {
            return nil
        }
        let fields = text[text.index(after: close)...].split(separator: " ")
        guard fields.count > 1, let state = fields[0].first, let parent = Int32(fields[1]) else { return nil }
        self.pid = pid
        self.parent = parent
        self.state = state
        name = String(text[text.index(after: open)..<close])
    }

    package static func all() -> [ProcessEntry] { entries(of: "/proc").compactMap { Int32($0) }.compactMap { ProcessEntry(pid: $0) } }

    /// The children of `pid`, their children, and so on.
    package static func descendants(of pid: Int32 = getpid()) -> [ProcessEntry] {
        let byParent = Dictionary(grouping: all(), by: \.parent)
        var found: [ProcessEntry] = []
        var parents = [pid]
        while let parent = parents.popLast() {
            for child in byParent[parent] ?? [] {
                found.append(child)
                parents.append(child.pid)
            }
        }
        return found
    }

    /// The living processes that were started with `variable` in their environment, by whomever, and whoever is their parent now.
    package static func all(withEnvironment variable: String) -> [ProcessEntry] {
        all().filter { !$0.isZombie && (readAll("/proc/\($0.pid)/environ")?.split(separator: "\0").contains { $0 == variable } ?? false) }
    }

    /// Whether this is a process that a fork server has made for a start that is still to come.
    package var isSpare: Bool { name == "mp-spare" }

    /// Whether this is a fork server: the only kind of process that is told so by its environment.
    package var isForkServer: Bool {
        name == "mp-forkserver" || (name != "mp-worker" && readAll("/proc/\(pid)/environ")?.contains("MP_FORK_SERVER=") ?? false)
    }
}

/// The names in a directory, without `.` and `..`.
package func entries(of directory: String) -> [String] {
    guard let handle = opendir(directory) else { return [] }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
        let name = withUnsafePointer(to: entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names
}

/// A whole file as text, whatever its bytes; nil when it cannot be opened.
package func readAll(_ path: String) -> String? {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return nil }
    defer { close(fd) }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 4096)
    while true {
        let n = read(fd, &part, part.count)
        if n <= 0 { break }
        bytes += part[..<n]
    }
    return String(decoding: bytes, as: UTF8.self)
}

/// What a symbolic link names; nil when there is none.
package func linkTarget(_ link: String) -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
        guard let start = buffer.baseAddress else { return nil }
        let n = readlink(link, start, buffer.count)
        return n < 0 ? nil : String(decoding: UnsafeRawBufferPointer(start: start, count: n), as: UTF8.self)
    }
}
