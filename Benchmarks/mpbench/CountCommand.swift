import ArgumentParser
import BenchmarkSupport
import CBaselines
import Multiprocessing

/// `mpbench count`
struct CountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "count", abstract: "The tutorial's counting loop on pinned workers, against the same loop in C.")

    @OptionGroup var options: MeasurementOptions

    func run() throws {
        try measureCounting(Session(options))
    }
}

/// Every worker counts to the same number. Timed by the host, from handing out the first task to holding the last result: what the library
/// adds to the loop is in it, as the futexes of the C crew are.
func measureCounting(_ session: Session) throws {
    let limit = session.quick ? 20_000_000 : 100_000_000  // the tutorial's hundred million
    let counts = session.workerCounts
    guard let fewest = counts.first, let most = counts.last else { return }
    let (figures, notes) = try withTeams(counts, session) { teams in
        var rates: [Int: PairedMeasurement] = [:]
        var scaling = PairedMeasurement(direction: .higherIsBetter)
        for pair in 0...session.pairs {
            var round: [Int: (library: Double, c: Double)] = [:]
            for team in counts.compactMap({ teams[$0] }) {
                // Who goes first changes with every pair, and the first pair is thrown away, as in `PairedMeasurement.interleaved`;
                // this loop is one of its own as the speed-up takes both counts of workers from the same round.
                if pair.isMultiple(of: 2) {
                    let library = try team.rateOfLibrary(to: limit)
                    round[team.size] = try (library, team.rateOfC(to: limit))
                } else {
                    let c = try team.rateOfC(to: limit)
                    round[team.size] = try (team.rateOfLibrary(to: limit), c)
                }
            }
            guard pair > 0 else { continue }
            for (size, rate) in round {
                rates[size, default: PairedMeasurement(direction: .higherIsBetter)].add(rate.library, baseline: rate.c)
            }
            if let few = round[fewest], let many = round[most] {
                scaling.add(many.library / few.library, baseline: many.c / few.c)
            }
        }
        var figures = counts.compactMap { size in
            rates[size].flatMap {
                // The plain name is for the largest count, by default all processors.
                Figure(metric: size == most ? "count.rate" : "count.rate.\(size)", unit: "Gcount/s", baseline: "c.count", $0)
            }
        }
        if fewest == 1, most > 1 {
            figures += [Figure(metric: "count.scaling", unit: "times", baseline: "c.count", scaling)].compactMap { $0 }
        }
        return (figures, counts.compactMap { teams[$0]?.whereabouts })
    }
    try session.report("Counting to \(limit) in each of \(counts.map(String.init).joined(separator: ", ")) workers", figures, notes: notes)
}

extension Team {
    /// Counts a nanosecond, all workers together: that is thousands of millions a second.
    fileprivate func rateOfLibrary(to limit: Int) throws -> Double {
        let start = cb_now()
        let futures = (0..<size).map { _ in pool.applyAsync(count, limit) }
        for future in futures where try future.get() != limit { throw WrongCount() }
        return Double(size * limit) / Double(cb_now() - start)
    }

    /// The same of the C crew.
    fileprivate func rateOfC(to limit: Int) throws -> Double {
        let start = cb_now()
        try crew.count(to: limit)
        return Double(size * limit) / Double(cb_now() - start)
    }
}

/// A worker came back with another number than it was to count to.
struct WrongCount: Error {}
