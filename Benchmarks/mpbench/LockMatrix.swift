import BenchmarkSupport
import Multiprocessing

/// `mpbench locks --matrix`: everything that can serve as a lock, by contenders, by how long it is held, by how near its takers are to each other.
struct LockMatrix {
    private let session: Session
    private let python: Python
    private let only: String

    static let prefix = "lock.matrix"

    /// What is done under the lock and between two takings.
    private struct Section {
        let name: String
        let nanoseconds: UInt32
        var work: LockWork { nanoseconds == 0 ? .none : .lasting(inside: nanoseconds, outside: nanoseconds) }
    }

    /// The increment alone, as in `lock.contended`; and far longer than a taker needs to come, shorter than a sleep and a wake-up.
    private static let sections = [Section(name: "short", nanoseconds: 0), Section(name: "long", nanoseconds: 10_000)]

    init(_ session: Session, _ python: Python, only: String) {
        (self.session, self.python) = (session, python)
        // What is only about other metrics is no choice among these.
        self.only = only.hasPrefix(Self.prefix) ? only : ""
    }

    /// Measures all that is wanted; prints a table for each cell.
    func measure() throws {
        let machine = Machine.current
        let available = Set(machine.availableProcessors)
        let places = ContenderPlaces.all(
            machine.processors.filter { available.contains($0.id) }.map { processor in
                let cache = processor.caches.first { $0.level == 2 && $0.kind != .instruction }?.sharedBy.first
                return ProcessorPlace(
                    id: processor.id, core: processor.core, socket: processor.package, node: processor.node, cache: cache)
            })
        var notes = [python.note].compactMap { $0 }
        if !places.contains(where: { $0.name == "far" }) {
            notes.append("All available processors are in one package and node: there is no far placement on this machine.")
        }
        if !places.contains(where: { $0.name == "near" }) {
            notes.append("No two available processors are in one package and node: there is no near placement on this machine.")
        }
        print("\nLocks by contenders, section and placement")
        for note in notes { print(note) }
        try session.record([], notes: notes)
        for place in places {
            // The crew's most.
            for contenders in place.contenders where contenders <= 256 {
                var configuration = session.configuration
                configuration.pinning = .cpus(place.processors)
                try withTeam(of: contenders, configuration) { team in
                    for section in Self.sections { try measure(section, place, team) }
                }
            }
        }
    }

    /// One taker of turns in a cell, of the library, of C or of Python.
    private struct Subject {
        let name: String
        /// The baselines of one of the library's, the nearest first; empty for what is itself a baseline.
        let baselines: [String]
        let rate: () throws -> Double
        let fairness: () throws -> Double
        let longWait: () throws -> Double
    }

    private static let pythonNames = ["python.Lock", "python.Value.get_lock"]

    private func measure(_ section: Section, _ place: ContenderPlaces, _ team: Team) throws {
        let suffix = "\(section.name).\(place.name).\(team.size)"
        let kinds = MatrixLock.kinds.filter { kind in
            let metric = "\(Self.prefix).\(kind.name).\(suffix)"
            return (kind.excludes || section.nanoseconds == 0) && (only.hasPrefix(metric) || metric.hasPrefix(only))
        }
        guard !kinds.isEmpty else { return }
        let work = section.work
        let own = try kinds.map { kind in
            let baselines = [kind.counterpart, "c.pthread-normal", "c.pthread-robust"] + Self.pythonNames
            return subject(
                try MatrixSubject(kind, team), work,
                baselines: baselines.enumerated().filter { baselines.firstIndex(of: $1) == $0 }.map(\.element))
        }
        let isReadWriteWanted = kinds.contains { $0.counterpart.hasPrefix("c.pthread-rwlock") }
        let baselines = (BaselineLock.all(team, batch: \.batch) + (isReadWriteWanted ? BaselineLock.readWrite(team, batch: \.batch) : []))
            .map { subject($0, work, baselines: []) }
        var cell = Cell(own + baselines + pythons(section, team))
        try cell.measure(session)
        let wanted = cell.figures { "\(Self.prefix).\($0).\(suffix).\($1)" }.filter { $0.metric.hasPrefix(only) }
        print("\n\(suffix): \(section.nanoseconds == 0 ? "the increment alone" : "10 µs held, 10 µs between"), \(team.whereabouts)")
        for line in cell.table.lines { print(line) }
        for note in cell.notes { print(note) }
        try session.record(wanted, notes: cell.notes.map { "\(suffix): \($0)" })
    }

    private func subject(_ lock: some TimedLock, _ work: LockWork, baselines: [String]) -> Subject {
        Subject(name: lock.name, baselines: baselines) { [session] in
            try lock.rate(length: session.quick ? 10_000_000 : 20_000_000, work: work)
        } fairness: { [session] in
            _ = try lock.rate(length: session.quick ? 100_000_000 : 1_000_000_000, work: work)
            return lock.fairness
        } longWait: { [session] in
            try lock.longWait(length: session.quick ? 50_000_000 : 200_000_000, work: work)
        }
    }

    private func pythons(_ section: Section, _ team: Team) -> [Subject] {
        guard python.note == nil else { return [] }
        let processors = team.processors.map { $0 ?? -1 }
        let crowd = (team.size + team.processorCount - 1) / team.processorCount
        let quick = session.quick
        return Self.pythonNames.enumerated().map { kind, name in
            // The crowd's bouts last longer, as those of the other locks do.
            let order = { [python] (what: Int, milliseconds: Int) in
                let length = milliseconds * 1_000_000 * crowd
                return try python.number(
                    "contend", [kind, what, length, Int(section.nanoseconds), Int(section.nanoseconds)] + processors)
            }
            return Subject(name: name, baselines: []) {
                try order(0, quick ? 10 : 20) / 1e9
            } fairness: {
                try order(1, quick ? 100 : 1000) / 1e6
            } longWait: {
                try order(2, quick ? 50 : 200)
            }
        }
    }

    /// All subjects under the same conditions, measured in turn.
    private struct Cell {
        private var subjects: [Subject]
        private var rates: [String: [Double]] = [:]
        private var fairness: [String: [Double]] = [:]
        private var waits: [String: [Double]] = [:]
        private(set) var notes: [String] = []

        init(_ subjects: [Subject]) { self.subjects = subjects }

        mutating func measure(_ session: Session) throws {
            // The first round is thrown away: caches fill in it.
            for round in 0...session.pairs {
                for (name, rate) in try sample(backwards: round.isMultiple(of: 2), \.rate) where round > 0 {
                    rates[name, default: []].append(rate)
                }
            }
            fairness = try sample(\.fairness).mapValues { [$0] }
            for round in 0..<(session.quick ? 1 : 5) {
                for (name, wait) in try sample(backwards: round.isMultiple(of: 2), \.longWait) { waits[name, default: []].append(wait) }
            }
        }

        /// One sample of each; who is first changes with every round. What cannot be measured here and now is left out of this cell.
        private mutating func sample(backwards: Bool = false, _ quantity: KeyPath<Subject, () throws -> Double>) throws -> [String: Double]
        {
            var samples: [String: Double] = [:]
            for subject in backwards ? subjects.reversed() : subjects {
                do {
                    samples[subject.name] = try subject[keyPath: quantity]()
                } catch let failure as PythonFailure {
                    leaveOut(subject, failure)
                } catch let failure as UnevenTeam {
                    // A cell less is better than none of those to come.
                    leaveOut(subject, failure)
                }
            }
            return samples
        }

        private mutating func leaveOut(_ subject: Subject, _ failure: any Error) {
            notes.append("\(subject.name) is left out: \(failure)")
            subjects.removeAll { $0.name == subject.name }
            rates[subject.name] = nil
        }

        /// Each of the library's against each of its baselines.
        func figures(_ metric: (_ kind: String, _ quantity: String) -> String) -> [Figure] {
            subjects.flatMap { subject in
                subject.baselines.flatMap { baseline in
                    [
                        figure(metric(subject.name, "throughput"), "Mop/s", .higherIsBetter, rates, subject.name, baseline),
                        figure(metric(subject.name, "fairness"), "share", .higherIsBetter, fairness, subject.name, baseline),
                        figure(metric(subject.name, "p99.9"), "ns", .lowerIsBetter, waits, subject.name, baseline),
                    ].compactMap { $0 }
                }
            }
        }

        private func figure(
            _ metric: String, _ unit: String, _ direction: Direction, _ values: [String: [Double]], _ name: String, _ baseline: String
        ) -> Figure? {
            guard let own = values[name], let other = values[baseline], own.count == other.count else { return nil }
            var measurement = PairedMeasurement(direction: direction)
            for (value, baselineValue) in zip(own, other) { measurement.add(value, baseline: baselineValue) }
            return Figure(metric: metric, unit: unit, baseline: baseline, measurement)
        }

        /// A row for each.
        var table: TextTable {
            var table = TextTable(header: ["lock", "Mop/s", "least share", "p99.9 wait, ns", "nearest in C", "rate / its", "interval"])
            for subject in subjects {
                var row = [subject.name] + [rates, fairness, waits].map { readable(median(of: $0[subject.name] ?? [])) }
                if let nearest = subject.baselines.first,
                    let ratio = figure("", "", .higherIsBetter, rates, subject.name, nearest)?.ratio
                {
                    row += [nearest, readable(ratio.median), "\(readable(ratio.low)) - \(readable(ratio.high))"]
                }
                table.add(row)
            }
            return table
        }
    }
}
