import ArgumentParser
import BenchmarkSupport
import CBaselines
import Multiprocessing

/// `mpbench payload`
struct PayloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "payload",
        abstract: "64 MiB that come back from a worker, against the same copies in C and Python's executor.",
        discussion: """
            `payload.result` is an array that a worker of a pool of one has ready and returns, as an array of the host's own; it is looked \
            at in every page, and dropped, within the time.
            c.copy-out: a process copies 64 MiB of its own into a mapping that it shares with the host and uses again and again, and the host \
            copies them into fresh memory, which it frees. python.ProcessPoolExecutor returns `bytes` that its worker has ready.
            """)

    @OptionGroup var options: MeasurementOptions

    func run() throws {
        try measurePayload(Session(options))
    }
}

/// GiB a second from a worker.
func measurePayload(_ session: Session) throws {
    // Started before this thread is pinned, which its processes would inherit.
    let python = Python()
    defer { python.end() }
    let figures = try withTeam(of: 1, session.configuration) { team in
        try withHost(besides: team.processors) {
            let copyOut = Baseline(name: "c.copy-out") { gibibytes / (try team.crew.payload(bytes: payloadSize, copyOut: true)) }
            let executor = python.baseline("python.ProcessPoolExecutor") { gibibytes / (try $0.number("return", payloadSize)) }
            return try session.compare("payload.result", unit: "GiB/s", .higherIsBetter, with: [copyOut] + executor) {
                let began = cb_now()
                try check(team.pool.apply(givePayload))
                let length = Double(cb_now() - began)
                team.quiet.wait()
                return gibibytes / length
            }
        }
    }
    try session.report("64 MiB from a worker", figures, notes: [python.note].compactMap { $0 })
}

/// The bytes that come back.
let payloadSize = 64 << 20
/// What that is in GiB, times the ns of a second.
private let gibibytes = Double(payloadSize) / Double(1 << 30) * 1e9

/// A worker's own copy, made by its first use.
private let payload = [UInt8](repeating: 7, count: payloadSize)

/// Run in a worker: the same bytes each time.
private func givePayload() -> [UInt8] { payload }

/// Reads a byte of every page, as the C side does.
private func check(_ bytes: [UInt8]) throws {
    var wrong = bytes.count == payloadSize ? 0 : 1
    for index in stride(from: 0, to: bytes.count, by: 4096) where bytes[index] != 7 { wrong += 1 }
    if wrong > 0 || bytes.last != 7 { throw DamagedPayload(size: bytes.count) }
}

/// Others bytes came back than were sent.
struct DamagedPayload: Error, CustomStringConvertible {
    let size: Int

    var description: String { "a result of \(payloadSize) bytes came back damaged, as \(size) bytes" }
}
