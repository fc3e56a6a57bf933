import Glibc

/// A file that grows by lines; each report is in it as soon as it was printed, so that an interrupted run keeps what it had.
final class JSONLinesFile {
    private let path: String

    /// Makes the file, or empties it.
    init(path: String) throws {
        self.path = path
        try write([], mode: "w")
    }

    /// Adds the lines.
    func append(_ lines: [String]) throws {
        try write(lines, mode: "a")
    }

    private func write(_ lines: [String], mode: String) throws {
        // "e": workers that are forked meanwhile must not hold the file open.
        guard let file = fopen(path, mode + "e") else { throw CannotWrite(path: path, code: errno) }
        var failed = false
        for line in lines where fputs(line + "\n", file) < 0 { failed = true }
        let code = errno
        // Buffered text reaches the disk here, so a full one shows only now.
        guard fclose(file) == 0 else { throw CannotWrite(path: path, code: errno) }
        if failed { throw CannotWrite(path: path, code: code) }
    }
}

/// The file for the figures could not be written.
struct CannotWrite: Error, CustomStringConvertible {
    let path: String
    let code: Int32
    var option = "--json"

    var description: String {
        "cannot write \(path): \(String(cString: strerror(code))); give \(option) a path in a folder that exists and is writable"
    }
}
