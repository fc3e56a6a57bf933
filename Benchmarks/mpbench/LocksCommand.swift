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
    let contending = session.crowds
    let (figures, notes) = try withTeams([1] + contending, session) { teams in
        var figures: [Figure] = []
        var notes: [String] = []
        if let team = teams[1] {
            let baselines = BaselineLock.all(team)
            figures += try measureAlone(SharedValueLock(team), "lock.alone", baselines: baselines, session)
            for kind in try SharedLockKind.all(team) {
                let counterpart = baselines.filter { $0.name == kind.counterpart }
                figures += try measureAlone(kind, "lock.alone.\(kind.name)", baselines: counterpart, session)
            }
        }
        for team in contending.compactMap({ teams[$0] }) {
            let subject = try SharedValueLock(team)
            let baselines = BaselineLock.all(team)
            let crowd = session.suffix(team.size)
            figures += try measureContended(subject, "lock.contended\(crowd)", baselines: baselines, session)
            for kind in try SharedLockKind.all(team) {
                let counterpart = baselines.filter { $0.name == kind.counterpart }
                figures += try measureContended(kind, "lock.contended.\(kind.name)\(crowd)", baselines: counterpart, session)
            }
            let fairness = fixed(subject.fairness * 100, decimals: 0)
            notes.append("\(team.whereabouts): the slowest did \(fairness) % of what the fastest did, in the last bout")
        }
        return (figures, notes)
    }
    try session.report("Increments under a lock", figures, notes: notes)
}

/// Nanoseconds for lock, increment and unlock in one process.
private func measureAlone(
    _ subject: some MeasuredLock, _ metric: String, baselines: [BaselineLock], _ session: Session
) throws -> [Figure] {
    let operations = session.quick ? 200_000 : 1_000_000
    return try baselines.compactMap { baseline in
        let measurement = try PairedMeasurement.interleaved(pairs: session.pairs, direction: .lowerIsBetter) {
            try subject.alone(operations: operations).nanosecondsEach
        } baseline: {
            try baseline.alone(operations: operations).nanosecondsEach
        }
        return Figure(metric: metric, unit: "ns", baseline: baseline.name, measurement)
    }
}

/// Millions of increments a second, all processes together.
private func measureContended(
    _ subject: some MeasuredLock, _ metric: String, baselines: [BaselineLock], _ session: Session
) throws -> [Figure] {
    let length: UInt64 = session.quick ? 10_000_000 : 20_000_000
    return try baselines.compactMap { baseline in
        let measurement = try PairedMeasurement.interleaved(pairs: session.pairs, direction: .higherIsBetter) {
            try subject.rate(length: length)
        } baseline: {
            try baseline.rate(length: length)
        }
        return Figure(metric: metric, unit: "Mop/s", baseline: baseline.name, measurement)
    }
}
