import ArgumentParser
import BenchmarkSupport
import CBaselines
import Multiprocessing

/// `mpbench queue`
struct QueueCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue",
        abstract: "Numbers through a shared queue, against a ring in C and Python's queues.",
        discussion: """
            `queue.one.CAPACITY` is one process that puts numbers into a `SharedQueue` as fast as it goes and one that gets them, in millions of \
            numbers a second; `queue.many.CAPACITY` two and two. All start at the same instant; the time is from the first's beginning to the \
            last's end. CAPACITY is 1, where every number waits for the one before it to be got, 16, and 1024.
            c.ring is the same in C: a ring in shared memory, a process-shared mutex, and two condition variables. python.Queue is \
            `multiprocessing.Queue` of that capacity, python.SimpleQueue the one that has none but that of its pipe; both with fewer numbers, as a \
            rate is a rate.
            """)

    @OptionGroup var options: MeasurementOptions

    @Option(help: ArgumentHelp("Only the metrics that begin so, such as queue.one.16.", valueName: "metric"))
    var only = ""

    func run() throws {
        try measureQueues(Session(options), only: only)
    }
}

/// Millions of numbers a second, through queues of several sizes.
func measureQueues(_ session: Session, only: String = "") throws {
    let python = Python()
    defer { python.end() }
    let figures = try [(name: "one", members: 2), (name: "many", members: 4)].flatMap { crowd in
        let wanted = [1, 16, 1024].filter { "queue.\(crowd.name).\($0)".hasPrefix(only) }
        guard !wanted.isEmpty else { return [Figure]() }
        return try withTeam(of: crowd.members, session.configuration) { team in
            try wanted.flatMap { try Exchange(team, capacity: $0).measure("queue.\(crowd.name).\($0)", python, session) }
        }
    }
    try session.report("Numbers through a queue", figures, notes: [python.note].compactMap { $0 })
}

/// Half of a team puts, half gets, through a queue of so many places.
private struct Exchange {
    let team: Team
    let capacity: Int
    private let queue: SharedQueue<Int64>
    private var putters: Int { team.size / 2 }

    init(_ team: Team, capacity: Int) throws {
        (self.team, self.capacity) = (team, capacity)
        queue = try SharedQueue(capacity: capacity)
    }

    func measure(_ metric: String, _ python: Python, _ session: Session) throws -> [Figure] {
        let target = session.sampleLength
        let own = try values(lasting: target) { try length(values: $0) }
        let ring = try values(lasting: target) { try team.crew.queue(members: team.size, capacity: capacity, values: $0) }
        let c = Baseline(name: "c.ring") {
            rate(ring, try team.crew.queue(members: team.size, capacity: capacity, values: ring))
        }
        // The start of its processes, which is not timed, takes longer than this.
        let few = session.quick ? 500 : 2000
        let processors = team.processors.map { $0 ?? -1 }
        let pythons = [(kind: 0, name: "python.Queue"), (kind: 1, name: "python.SimpleQueue")].flatMap { kind, name in
            python.baseline(name) { rate(few, try $0.number("exchange", [kind, capacity, putters, few] + processors)) }
        }
        return try session.compare(metric, unit: "Mop/s", .higherIsBetter, with: [c] + pythons) { rate(own, try length(values: own)) }
    }

    /// How many take about so long; and so many that the members' coming at different times does not show.
    private func values(lasting target: Double, _ length: (Int) throws -> Double) rethrows -> Int {
        let least = 5000
        _ = try length(least)
        return Int(min(max(1, target / max(1, try length(least))), 200)) * least
    }

    /// Millions a second.
    private func rate(_ values: Int, _ length: Double) -> Double { Double(values * putters) * 1000 / length }

    /// Each putter puts so many; the time in ns. Blocks; throws when others came out than were put.
    private func length(values: Int) throws -> Double {
        let start = cb_now() + 5_000_000
        let futures = (0..<team.size).map { member in
            team.pool.applyAsync(member < putters ? putNumbers : getNumbers, queue, values, start)
        }
        let shares = try futures.map { try $0.get() }
        let sum = shares.reduce(0) { $0 + $1.sum }
        guard sum == putters * (values * (values + 1) / 2), queue.isEmpty else { throw DamagedQueue(sum: sum) }
        return Double((shares.map(\.ended).max() ?? 0) - (shares.map(\.began).min() ?? 0))
    }
}

/// What one member did, and when, of `cb_now`.
private struct ExchangeShare: Codable, Sendable {
    /// Of what it got.
    var sum = 0
    let began: UInt64
    let ended: UInt64
}

/// Run in a worker: puts the numbers from 1 on, so many.
private func putNumbers(_ queue: SharedQueue<Int64>, values: Int, start: UInt64) throws -> ExchangeShare {
    cb_sleep_until(start)
    let began = cb_now()
    for value in 1...Int64(values) { try queue.put(value) }
    return ExchangeShare(began: began, ended: cb_now())
}

/// Run in a worker: gets so many numbers.
private func getNumbers(_ queue: SharedQueue<Int64>, values: Int, start: UInt64) throws -> ExchangeShare {
    cb_sleep_until(start)
    let began = cb_now()
    var sum = 0
    for _ in 0..<values { sum += Int(try queue.get()) }
    return ExchangeShare(sum: sum, began: began, ended: cb_now())
}

/// Other values came out of a queue than were put.
struct DamagedQueue: Error, CustomStringConvertible {
    let sum: Int

    var description: String { "other numbers came out of the queue than were put: their sum is \(sum)" }
}
