import ArgumentParser
import BenchmarkSupport
import CBaselines
import Multiprocessing

/// `mpbench locks`
struct LocksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "locks",
        abstract: "An increment under a lock, alone and contended, against locks in C and Python's.",
        discussion: """
            `lock.alone` is one process, `lock.contended` two (and as many as --workers asks for) back to back, `lock.oversubscribed` twice as \
            many as there are processors, with 100 ns of work under the lock and 400 ns between. The lock is that of a `SharedValue`; names \
            that go on are those of a kind of `SharedLock`, or `semaphore`, a `SharedSemaphore` of one.
            c.pthread-normal, -adaptive and -robust are process-shared mutexes of glibc's, c.pthread-best the best of them; c.tid-futex is a \
            futex word that holds its owner's thread id, spins and then sleeps; c.semaphore is glibc's, of one, process-shared. python.Value.get_lock does the same with a shared `Value`, \
            fewer times, as a rate is a rate.
            `profiler.on` is a contended `SharedLock` with its profile, against the same without; `profiler.off` is one without, against the same \
            steps compiled without the question whether there is a profile.
            `--matrix` goes on with everything that can serve as a lock: `lock.matrix.LOCK.SECTION.PLACE.CONTENDERS.QUANTITY`. LOCK is \
            `value` (a `SharedValue`), a kind of `SharedLock`, `recursive`, `semaphore` (of one), `writers` and `readers` (of a \
            read-write lock; readers share it), `atomic` (`SharedAtomic.add`, no lock) or `queue` (a put and a get). SECTION is `short`, \
            the increment alone, back to back, or `long`, 10 us of work under the lock and 10 us between (not for readers, atomic and \
            queue, which exclude nobody). PLACE is `near`, within a package and node, a core's own threads first, or `far`, from package \
            to package, where the machine has several. CONTENDERS go from 1 to two for each processor. QUANTITY is `throughput`, \
            millions of turns a second; `fairness`, what the slowest did over an equal share, in a bout of a second; or `p99.9`, the \
            time from the asking to the having that 999 of a thousand takings do not exceed, in ns, measured in bouts of its own, as \
            looking at the clock takes time (of `queue`: the time of both calls). Also against python.Lock, `multiprocessing.Lock`; `writers` and \
            `readers` against c.pthread-rwlock and c.pthread-rwlock-read, glibc's process-shared read-write lock. \
            --pin and --workers do not matter to it. About a minute for each two processors with --quick, ten without; --only \
            lock.matrix.adaptive.short selects.
            """)

    @OptionGroup var options: MeasurementOptions

    @Option(help: ArgumentHelp("Only the metrics that begin so, such as lock.contended.", valueName: "metric"))
    var only = ""

    @Flag(help: "Then everything that can serve as a lock, by contenders, section and placement.")
    var matrix = false

    func run() throws {
        let session = try Session(options)
        let isForMatrix = only.hasPrefix(LockMatrix.prefix)
        if !isForMatrix { try measureLocks(session, only: only) }
        guard matrix || isForMatrix else { return }
        let python = Python()
        defer { python.end() }
        try LockMatrix(session, python, only: only).measure()
    }
}

/// Lock, increment, unlock: by one worker alone, then by several back to back.
func measureLocks(_ session: Session, only: String = "") throws {
    let isWanted = { (metric: String) in metric.hasPrefix(only) }
    let python = Python()
    defer { python.end() }
    let contending = session.crowds
    let crowd = 2 * max(Machine.current.availableProcessors.count, 1)
    let (figures, notes) = try withTeams([1, crowd] + contending, session) { teams in
        var figures: [Figure] = []
        var notes = [python.note].compactMap { $0 }
        if let team = teams[1] {
            let baselines = BaselineLock.all(team)
            if isWanted("lock.alone") { figures += try measureAlone(SharedValueLock(team), "lock.alone", baselines: baselines, session) }
            for kind in try SharedLockKind.all(team) where isWanted("lock.alone.\(kind.name)") {
                let counterpart = baselines.filter { $0.name == kind.counterpart }
                figures += try measureAlone(kind, "lock.alone.\(kind.name)", baselines: counterpart, session)
            }
            if isWanted("lock.alone.semaphore") {
                figures += try measureAlone(
                    SemaphoreLock(team), "lock.alone.semaphore", baselines: BaselineLock.semaphores(team), session)
            }
        }
        for team in contending.compactMap({ teams[$0] }) {
            let subject = try SharedValueLock(team)
            let baselines = BaselineLock.all(team)
            let size = session.suffix(team.size)
            if isWanted("lock.contended\(size)") {
                figures += try measureContended(subject, "lock.contended\(size)", baselines: baselines, session)
                figures += try measureContended(subject, "lock.contended\(size)", python, session)
                notes.append(try fairness(of: subject, .none, team))
            }
            for kind in try SharedLockKind.all(team) where isWanted("lock.contended.\(kind.name)\(size)") {
                let counterpart = baselines.filter { $0.name == kind.counterpart }
                figures += try measureContended(kind, "lock.contended.\(kind.name)\(size)", baselines: counterpart, session)
            }
            if isWanted("lock.contended.semaphore\(size)") {
                figures += try measureContended(
                    SemaphoreLock(team), "lock.contended.semaphore\(size)", baselines: BaselineLock.semaphores(team), session)
            }
            figures += try ProfiledLock.measure(team, session, isWanted: isWanted)
        }
        if let team = teams[crowd], isWanted("lock.oversubscribed") {
            let subject = try SharedValueLock(team)
            let work = LockWork.lasting(inside: 100, outside: 400)
            figures += try measureOversubscribed(subject, work, baselines: BaselineLock.all(team), session)
            notes.append(try fairness(of: subject, work, team))
        }
        return (figures, notes)
    }
    try session.report("Increments under a lock", figures, notes: notes)
}

/// How equally a second is shared.
private func fairness(of lock: some MeasuredLock, _ work: LockWork, _ team: Team) throws -> String {
    _ = try lock.rate(length: 1_000_000_000, work: work)
    return "\(team.whereabouts): in a second the slowest did \(fixed(lock.fairness * 100, decimals: 0)) % of its share"
}

/// Millions of increments a second of more processes than processors, with work under the lock and between, against the pthread mutex that is best at it.
private func measureOversubscribed(
    _ subject: some MeasuredLock, _ work: LockWork, baselines: [any MeasuredLock], _ session: Session
) throws -> [Figure] {
    let length: UInt64 = session.quick ? 10_000_000 : 20_000_000
    let metric = "lock.oversubscribed"
    let results = try baselines.compactMap { baseline -> (figure: Figure, best: Figure)? in
        let measurement = try PairedMeasurement.interleaved(pairs: session.pairs, direction: .higherIsBetter) {
            try subject.rate(length: length, work: work)
        } baseline: {
            try baseline.rate(length: length, work: work)
        }
        guard let figure = Figure(metric: metric, unit: "Mop/s", baseline: baseline.name, measurement),
            let best = Figure(metric: metric, unit: "Mop/s", baseline: "c.pthread-best", measurement)
        else { return nil }
        return (figure, best)
    }
    // The best mutex is the one over which the library's lead is the least.
    let mutexes = results.filter { $0.figure.baseline.hasPrefix("c.pthread-") }
    let best = mutexes.min { $0.figure.ratio.median < $1.figure.ratio.median }
    return results.map(\.figure) + (best.map { [$0.best] } ?? [])
}

/// Nanoseconds for lock, increment and unlock in one process.
private func measureAlone(
    _ subject: some MeasuredLock, _ metric: String, baselines: [any MeasuredLock], _ session: Session
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
    _ subject: some MeasuredLock, _ metric: String, baselines: [any MeasuredLock], _ session: Session
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

/// The same against the lock of Python's shared value.
private func measureContended(_ subject: some MeasuredLock, _ metric: String, _ python: Python, _ session: Session) throws -> [Figure] {
    let (length, times): (UInt64, Int) = session.quick ? (10_000_000, 5000) : (20_000_000, 20_000)
    let members = subject.members
    let value = python.baseline("python.Value.get_lock") {
        Double(members * times) * 1000 / (try $0.number("lock", members, times))
    }
    return try session.compare(metric, unit: "Mop/s", .higherIsBetter, with: value) { try subject.rate(length: length) }
}
