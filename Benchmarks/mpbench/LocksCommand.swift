import ArgumentParser
import BenchmarkSupport
import CBaselines
import Multiprocessing

/// `mpbench locks`
struct LocksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "locks", abstract: "An increment under a lock, alone and contended, against locks in C.")

    @OptionGroup var options: MeasurementOptions

    func run() throws {
        try measureLocks(Session(options))
    }
}

/// Lock, increment, unlock: by one worker alone, then by several back to back.
func measureLocks(_ session: Session) throws {
    let contending = Set(session.workerCounts.filter { $0 > 1 }).union([2]).sorted()
    let (figures, notes) = try withTeams([1] + contending, session) { teams in
        var figures: [Figure] = []
        var notes: [String] = []
        if let team = teams[1] {
            figures += try measureAlone(SharedValueLock(team), baselines: BaselineLock.all(team), session)
        }
        for team in contending.compactMap({ teams[$0] }) {
            let subject = try SharedValueLock(team)
            figures += try measureContended(subject, baselines: BaselineLock.all(team), session)
            let fairness = fixed(subject.fairness * 100, decimals: 0)
            notes.append("\(team.whereabouts): the slowest did \(fairness) % of what the fastest did, in the last bout")
        }
        return (figures, notes)
    }
    try session.report("Increments under a lock", figures, notes: notes)
}

/// Nanoseconds for lock, increment and unlock in one process.
private func measureAlone(
    _ subject: some MeasuredLock, baselines: [BaselineLock], _ session: Session
) throws -> [Figure] {
    let operations = session.quick ? 200_000 : 1_000_000
    return try baselines.compactMap { baseline in
        let measurement = try PairedMeasurement.interleaved(pairs: session.pairs, direction: .lowerIsBetter) {
            try subject.alone(operations: operations).nanosecondsEach
        } baseline: {
            try baseline.alone(operations: operations).nanosecondsEach
        }
        return Figure(metric: "lock.alone", unit: "ns", baseline: baseline.name, measurement)
    }
}

/// Millions of increments a second, all processes together.
private func measureContended(
    _ subject: some MeasuredLock, baselines: [BaselineLock], _ session: Session
) throws -> [Figure] {
    let length: UInt64 = session.quick ? 10_000_000 : 20_000_000
    return try baselines.compactMap { baseline in
        let measurement = try PairedMeasurement.interleaved(pairs: session.pairs, direction: .higherIsBetter) {
            try subject.rate(length: length)
        } baseline: {
            try baseline.rate(length: length)
        }
        let metric = subject.members == 2 ? "lock.contended" : "lock.contended.\(subject.members)"
        return Figure(metric: metric, unit: "Mop/s", baseline: baseline.name, measurement)
    }
}
