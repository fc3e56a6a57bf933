import BenchmarkSupport
import CBaselines
import Glibc

/// The Python that the library is compared with: an interpreter that runs `Benchmarks/python/peer.py` beside this program and takes orders,
/// so that its samples are taken in turn with the library's. It sleeps between orders.
///
/// Where there is no Python of 3.9 or later there are no baselines of its either, and `note` says so.
final class Python {
    /// Why there are none; nil when there are.
    private(set) var note: String?
    private var socket: Int32 = -1
    private var process: pid_t = 0
    private var received: [UInt8] = []

    /// Starts the interpreter. It, and whatever processes it makes, end with this program.
    init() {
        // Where the sources were when this program was built: it is run from there.
        let folders = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        let script = folders.joined(separator: "/") + "/python/peer.py"
        guard access(script, R_OK) == 0 else {
            note = "Python's baselines are left out: \(script) is not there any more; build mpbench again where its sources are"
            return
        }
        do {
            // Warnings of newer versions about forks of programs with threads would be in the tables.
            try start(["python3", "-W", "ignore", script])
            let version = try number("version")
            if version < 3009 { throw PythonFailure("python3 is version 3.\(Int(version) % 1000)") }
        } catch {
            end()
            note = "Python's baselines are left out: \(error); they need python3, version 3.9 or later, in PATH"
        }
    }

    deinit { end() }

    /// A baseline of this Python, or none.
    func baseline(_ name: String, _ sample: @escaping (Python) throws -> Double) -> [Baseline] {
        note == nil ? [Baseline(name: name) { try sample(self) }] : []
    }

    /// What the order measured; of most orders the time in ns. Blocks, for a minute at most.
    func number(_ order: String, _ numbers: Int...) throws(PythonFailure) -> Double { try number(order, numbers) }

    /// As above, of a list of numbers.
    func number(_ order: String, _ numbers: [Int]) throws(PythonFailure) -> Double {
        guard socket >= 0 else { throw PythonFailure("it has ended") }
        let text = ([order] + numbers.map(String.init)).joined(separator: " ") + "\n"
        guard cb_companion_send(socket, text, text.utf8.count) == 0 else { throw gone("it has ended") }
        switch Answer(line: try line()) {
        case .value(let value): return value
        case .failure(let text): throw PythonFailure(text)
        }
    }

    /// Kills the interpreter and all that it started. A second call does nothing.
    func end() {
        if socket >= 0 { _ = cb_companion_stop(socket, process) }
        socket = -1
    }

    private func start(_ arguments: [String]) throws(PythonFailure) {
        var words = arguments.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        socket = cb_companion_start(&words, &process)
        if socket < 0 { throw PythonFailure("it cannot be started: \(String(cString: strerror(errno)))") }
    }

    private func line() throws(PythonFailure) -> String {
        var bytes = [CChar](repeating: 0, count: 4096)
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                defer { received.removeSubrange(...end) }
                return String(decoding: received[..<end], as: UTF8.self)
            }
            let count = cb_companion_receive(socket, &bytes, bytes.count, 60_000)
            guard count > 0 else { throw gone(count == 0 ? "it has ended" : "it has not answered for a minute, and was killed") }
            received += bytes[..<count].map { UInt8(bitPattern: $0) }
        }
    }

    /// Ends what does not answer, so that it disturbs nothing further and no later order meets an answer that came late.
    private func gone(_ what: String) -> PythonFailure {
        end()
        return PythonFailure(what)
    }
}

/// A baseline in Python could not be measured.
struct PythonFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
