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
            at in every page, and dropped, within the time. `payload.borrowed` is the same result read in place, by `Future.withSpan`. \
            `payload.in-place` is a call that returns a `SharedArray` of that size, which the worker has filled; its worker waits by spinning.
            c.copy-out: a process copies 64 MiB of its own into a mapping that it shares with the host and uses again and again, and the host \
            copies them into fresh memory, which it frees. c.memcpy-reused: the same without the second copy. python.ProcessPoolExecutor \
            returns `bytes` that its worker has ready. roundtrip.awake is a call of a function that does nothing, in the pool of \
            `payload.in-place`.
            """)

    @OptionGroup var options: MeasurementOptions

    func run() throws {
        try measurePayload(Session(options))
    }
}

/// What 64 MiB cost to come from a worker: copied, read where they were written, and handed over.
func measurePayload(_ session: Session) throws {
    // Started before this thread is pinned, which its processes would inherit.
    let python = Python()
    defer { python.end() }
    let copied = try withTeam(of: 1, session.configuration) { team in
        try withHost(besides: team.processors) { try measureCopies(team, python, session) }
    }
    var spinning = session.configuration
    spinning.waiting = .spinning
    let handedOver = try withTeam(of: 1, spinning) { team in
        try withHost(besides: team.processors) { try measureHandOver(team, session) }
    }
    try session.report("64 MiB from a worker", copied + handedOver, notes: [python.note].compactMap { $0 })
}

/// GiB a second.
private func measureCopies(_ team: Team, _ python: Python, _ session: Session) throws -> [Figure] {
    let copyOut = Baseline(name: "c.copy-out") { gibibytes / (try team.crew.payload(bytes: payloadSize, copyOut: true)) }
    let executor = python.baseline("python.ProcessPoolExecutor") { gibibytes / (try $0.number("return", payloadSize)) }
    let reused = Baseline(name: "c.memcpy-reused") { gibibytes / (try team.crew.payload(bytes: payloadSize, copyOut: false)) }
    return try session.compare("payload.result", unit: "GiB/s", .higherIsBetter, with: [copyOut] + executor) {
        try rate(team) {
            let bytes = try team.pool.apply(givePayload)
            try check(bytes.span)
        }
    }
        + session.compare("payload.borrowed", unit: "GiB/s", .higherIsBetter, with: [reused]) {
            try rate(team) { try team.pool.applyAsync(givePayload).withSpan(check) }
        }
}

private func rate(_ team: Team, _ fetch: () throws -> Void) throws -> Double {
    let began = cb_now()
    try fetch()
    let length = Double(cb_now() - began)
    team.quiet.wait()
    return gibibytes / length
}

/// Nanoseconds a call. Both sides are the library's, in the same pool.
private func measureHandOver(_ team: Team, _ session: Session) throws -> [Figure] {
    let length = session.sampleLength / Double(RoundTrips.batches)
    func handOver() throws {
        let array = try team.pool.apply(giveShared)
        guard array.count == payloadSize, array[payloadSize - 1] == 7 else { throw DamagedPayload(size: array.count) }
    }
    func call() throws { try team.pool.apply(doNothing) }
    let calls = try repetitions(lasting: length, most: 100_000) { try RoundTrips.length(calls: $0, call) }
    let handOvers = try repetitions(lasting: length, most: 100_000) { try RoundTrips.length(calls: $0, handOver) }
    let roundTrip = Baseline(name: "roundtrip.awake") { try RoundTrips.length(calls: calls, call) / Double(calls) }
    return try session.compare("payload.in-place", unit: "ns", .lowerIsBetter, with: [roundTrip]) {
        try RoundTrips.length(calls: handOvers, handOver) / Double(handOvers)
    }
}

/// The bytes that come back.
let payloadSize = 64 << 20
/// What that is in GiB, times the ns of a second.
private let gibibytes = Double(payloadSize) / Double(1 << 30) * 1e9

/// A worker's own copy, made by its first use.
private let payload = [UInt8](repeating: 7, count: payloadSize)

/// Run in a worker: the same bytes each time.
private func givePayload() -> [UInt8] { payload }

/// A worker's array in shared memory, made and filled by its first use.
private let sharedPayload = Result { try SharedArray<UInt8>(repeating: 7, count: payloadSize) }

/// Run in a worker: the same array each time.
private func giveShared() throws -> SharedArray<UInt8> { try sharedPayload.get() }

/// Reads a byte of every page and the last one, as the C side does.
private func check(_ bytes: Span<UInt8>) throws {
    var wrong = bytes.count == payloadSize ? 0 : 1
    for index in stride(from: 0, to: bytes.count, by: 4096) where bytes[index] != 7 { wrong += 1 }
    if wrong > 0 || bytes[bytes.count - 1] != 7 { throw DamagedPayload(size: bytes.count) }
}

/// Other bytes came back than were sent.
struct DamagedPayload: Error, CustomStringConvertible {
    let size: Int

    var description: String { "a result of \(payloadSize) bytes came back damaged, as \(size) bytes" }
}
