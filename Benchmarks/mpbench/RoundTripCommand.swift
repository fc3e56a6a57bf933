import ArgumentParser
import BenchmarkSupport
import CBaselines
import Multiprocessing

/// `mpbench roundtrip`
struct RoundTripCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roundtrip",
        abstract: "One call of a worker and back, against ping-pong in C and a call of Python's pool.",
        discussion: """
            `roundtrip.awake` is `Pool.apply` of a function that does nothing, in a pool of one whose worker waits by spinning; \
            `roundtrip.asleep` the same with one that sleeps between calls. One call follows the other. The host is kept on a processor \
            other than the worker's, for both sides, and a sample of every side is the median over 61 batches of calls.
            c.hybrid and c.futex are two processes that share a number for each direction: the first looks at it 4000 times before it sleeps \
            in a futex, the second always sleeps. python.Pool.apply calls a function that does nothing in a pool of one.
            """)

    @OptionGroup var options: MeasurementOptions

    func run() throws {
        try measureRoundTrips(Session(options))
    }
}

/// One call after the other, in a pool of one.
func measureRoundTrips(_ session: Session) throws {
    // Started before this thread is pinned, which its processes would inherit.
    let python = Python()
    defer { python.end() }
    let calls = session.quick ? 2 : 5
    let apply = python.baseline("python.Pool.apply") { try $0.number("apply", RoundTrips.batches, calls) / Double(calls) }
    let awake = try measure("roundtrip.awake", .spinning, "c.hybrid", CB_BALL_HYBRID, apply, session)
    let asleep = try measure("roundtrip.asleep", .blocking, "c.futex", CB_BALL_FUTEX, [], session)
    let notes = [python.note].compactMap { $0 } + awake.notes + asleep.notes
    try session.report("One call and back", awake.figures + asleep.figures, notes: notes)
}

private func measure(
    _ metric: String, _ waiting: WaitStrategy, _ name: String, _ kind: cb_ball_kind, _ others: [Baseline], _ session: Session
) throws -> (figures: [Figure], notes: [String]) {
    var configuration = session.configuration
    configuration.waiting = waiting
    return try withTeam(of: 1, configuration) { team in
        try withHost(besides: team.processors) {
            let length = session.sampleLength / Double(RoundTrips.batches)
            let rounds = try repetitions(lasting: length, most: 100_000) {
                try median(of: team.crew.pingPong(kind, batches: RoundTrips.batches, rounds: $0))
            }
            let calls = try repetitions(lasting: length, most: 100_000) {
                try RoundTrips.length(calls: $0) { try team.pool.apply(doNothing) }
            }
            let pingPong = Baseline(name: name) {
                try median(of: team.crew.pingPong(kind, batches: RoundTrips.batches, rounds: rounds)) / Double(rounds)
            }
            let figures = try session.compare(metric, unit: "ns", .lowerIsBetter, with: [pingPong] + others) {
                let length = try RoundTrips.length(calls: calls) { try team.pool.apply(doNothing) }
                team.quiet.wait()
                return length / Double(calls)
            }
            return (figures, [team.quiet.note].compactMap { $0 })
        }
    }
}
