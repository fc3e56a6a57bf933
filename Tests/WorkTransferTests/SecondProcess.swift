import BinaryCoding
import Glibc
import TestSupport
import WorkTransfer

/// A second process of this very test program, started by exec, so that its images lie elsewhere: it runs invocations that it knows only from their bytes.
///
/// It is told what to do by a file and answers with another; ``WorkerEntryTests`` is where it does so.
enum SecondProcess {
    static let variable = "MP_TRANSFER_TEST_WORK"

    /// The file to work on, when this is a second process.
    static var requested: String? { getenv(variable).map { String(cString: $0) } }

    struct Task {
        var description: [UInt8]
        var arguments: [UInt8]
    }
    enum Outcome {
        case result([UInt8])
        case error(any Error)
        case failure(String)
    }
    struct Failure: Error, CustomStringConvertible { var description: String }

    /// Runs all tasks in one new process. Returns the outcomes, in order, and where that process had its code.
    static func run(_ tasks: [Task]) throws -> (outcomes: [Outcome], codeAddress: UInt) {
        var template = Array("/tmp/mp-transfer-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(description: "mkdtemp: errno \(errno)") }
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            unlink(folder + "/work")
            unlink(folder + "/work.done")
            rmdir(folder)
        }
        let work = HeapByteWriter()
        try work.append(UInt32(tasks.count))
        for task in tasks {
            try append(task.description, to: work)
            try append(task.arguments, to: work)
        }
        try write(work.bytes, to: folder + "/work")
        try spawn(work: folder + "/work")
        return try readOutcomes(from: try read(folder + "/work.done"), count: tasks.count)
    }

    /// What the second process does.
    static func work(_ path: String) throws {
        // A hang here would hang the first process's tests as well.
        alarm(120)
        let bytes = try read(path)
        let answer = HeapByteWriter()
        try answer.append(codeAddress)
        try bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            for _ in 0..<(try reader.read(UInt32.self)) {
                let description = try reader.take(Int(try reader.read(UInt32.self)))
                var arguments = ByteReader(try reader.take(Int(try reader.read(UInt32.self))))
                let result = HeapByteWriter()
                var kind: UInt8 = 0
                do {
                    try resolveInvocation(description).invoke(arguments: &arguments, result: result)
                } catch InvocationFailure.thrown(let error) {
                    kind = 1
                    result.removeAll()
                    ErrorTransfer.encode(error, to: result)
                } catch {
                    kind = 2
                    result.removeAll()
                    try Array("\(error)".utf8).withUnsafeBytes { try result.append(contentsOf: $0) }
                }
                try answer.append(kind)
                try append(result.bytes, to: answer)
            }
        }
        try write(answer.bytes, to: path + ".done")
    }

    private static func readOutcomes(from bytes: [UInt8], count: Int) throws -> ([Outcome], UInt) {
        try bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            let address = try reader.read(UInt.self)
            let outcomes = try (0..<count).map { _ -> Outcome in
                let kind = try reader.read(UInt8.self)
                let content = try reader.take(Int(try reader.read(UInt32.self)))
                switch kind {
                case 0: return .result(Array(content))
                case 1:
                    var error = ByteReader(content)
                    return .error(ErrorTransfer.decode(from: &error))
                default: return .failure(String(decoding: content, as: UTF8.self))
                }
            }
            return (outcomes, address)
        }
    }

    /// Where some function of this program is: moves with the program.
    static var codeAddress: UInt {
        let function: @convention(c) () -> Void = {}
        return unsafeBitCast(function, to: UInt.self)
    }

    // MARK: Files and processes

    private static func append(_ bytes: [UInt8], to writer: ByteWriter) throws {
        try writer.append(UInt32(bytes.count))
        try bytes.withUnsafeBytes { try writer.append(contentsOf: $0) }
    }

    private static func spawn(work: String) throws {
        let program = try Program(anewFor: "WorkerEntryTests", variable: "\(variable)=\(work)")
        let lines = program.readRest()
        let code = program.wait()
        guard code == 0 else {
            throw Failure(description: "the second process ended with \(code):\n\(lines.joined(separator: "\n"))")
        }
    }

    private static func write(_ bytes: [UInt8], to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Failure(description: "open \(path): errno \(errno)") }
        defer { close(file) }
        guard Glibc.write(file, bytes, bytes.count) == bytes.count else { throw Failure(description: "write \(path): errno \(errno)") }
    }

    private static func read(_ path: String) throws -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Failure(description: "open \(path): errno \(errno)") }
        defer { close(file) }
        var status = stat()
        fstat(file, &status)
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        guard Glibc.read(file, &bytes, bytes.count) == bytes.count else { throw Failure(description: "read \(path): errno \(errno)") }
        return bytes
    }
}
