import ArgumentParser
import BenchmarkSupport
import CBaselines
import Multiprocessing

/// `mpbench connection`
struct ConnectionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connection",
        abstract: "Messages through a pipe of the library's, against Python's.",
        discussion: """
            One process sends to another, which receives each message as an array of its own and answers the last one. `connection.SIZE` is bytes, in GiB \
            a second; `connection.number` numbers, in millions a second. Nothing is pinned, on either side.
            python.Pipe is `multiprocessing.Pipe`: `send_bytes` and `recv_bytes`, which copy and encode nothing beside; of numbers `send` and `recv`.
            """)

    @OptionGroup var options: MeasurementOptions

    @Option(help: ArgumentHelp("Only the metrics that begin so, such as connection.1MiB.", valueName: "metric"))
    var only = ""

    func run() throws {
        try measureConnections(Session(options), only: only)
    }
}

/// Messages from one process to another.
func measureConnections(_ session: Session, only: String = "") throws {
    let python = Python()
    defer { python.end() }
    // Nothing is pinned, on either side, unless --pin says otherwise: both ends work as much.
    let figures = try withTeam(of: 1, session.freeConfiguration) { team in
        let (mine, theirs) = try pipe()
        let stream = Stream(team: team, mine: mine, theirs: theirs)
        let sizes = [("16KiB", 16 << 10), ("256KiB", 256 << 10), ("1MiB", 1 << 20), ("16MiB", 16 << 20), ("64MiB", 64 << 20)]
        return try stream.measureNumbers(python, session, only: only)
            + sizes.flatMap { try stream.measure(size: $1, "connection.\($0)", python, session, only: only) }
    }
    try session.report("Messages through a pipe", figures, notes: [python.note].compactMap { $0 })
}

/// This process sends, and a worker receives.
private struct Stream {
    let team: Team
    let mine: Connection
    let theirs: Connection

    /// GiB a second.
    func measure(size: Int, _ metric: String, _ python: Python, _ session: Session, only: String) throws -> [Figure] {
        guard metric.hasPrefix(only) else { return [] }
        let times = max(session.quick ? 2 : 4, (session.quick ? 16 << 20 : 64 << 20) / size)
        let bytes = [UInt8](repeating: 7, count: size)
        let scale = Double(size * times) / Double(1 << 30) * 1e9
        let pipe = python.baseline("python.Pipe") { scale / (try $0.number("stream", 0, size, times)) }
        return try session.compare(metric, unit: "GiB/s", .higherIsBetter, with: pipe) {
            let done = team.pool.applyAsync(drainBytes, theirs, times)
            return scale / (try length(done, expected: size * times) { for _ in 0..<times { try mine.send(bytes) } })
        }
    }

    /// Millions a second.
    func measureNumbers(_ python: Python, _ session: Session, only: String) throws -> [Figure] {
        guard "connection.number".hasPrefix(only) else { return [] }
        let times = session.quick ? 2000 : 10_000
        let pipe = python.baseline("python.Pipe") { Double(times) * 1000 / (try $0.number("stream", 1, 0, times)) }
        return try session.compare("connection.number", unit: "Mop/s", .higherIsBetter, with: pipe) {
            let done = team.pool.applyAsync(drainNumbers, theirs, times)
            let sum = times * (times - 1) / 2
            return Double(times) * 1000 / (try length(done, expected: sum) { for number in 0..<times { try mine.send(number) } })
        }
    }

    /// The time from the first message to the answer, in ns.
    private func length(_ done: Future<Void>, expected: Int, _ send: () throws -> Void) throws -> Double {
        // Its end has come to the worker, which is in the middle of it.
        guard try mine.receive(Int.self) == 0 else { throw DamagedStream() }
        let began = cb_now()
        try send()
        let found = try mine.receive(Int.self)
        let length = Double(cb_now() - began)
        guard found == expected else { throw DamagedStream() }
        try done.get()
        team.quiet.wait()
        return length
    }
}

/// Run in a worker: receives so many messages and answers how many bytes there were.
private func drainBytes(_ connection: Connection, times: Int) throws {
    try connection.send(0)
    var found = 0
    for _ in 0..<times { found += try connection.receive([UInt8].self).count }
    try connection.send(found)
}

/// Run in a worker: receives so many numbers and answers their sum.
private func drainNumbers(_ connection: Connection, times: Int) throws {
    try connection.send(0)
    var sum = 0
    for _ in 0..<times { sum += try connection.receive(Int.self) }
    try connection.send(sum)
}

/// Something else was received than was sent.
struct DamagedStream: Error {}
