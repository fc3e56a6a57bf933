import CBaselines

/// When processes contend: they agree on an instant and start at it, each by itself.
///
/// A start by message would let the first run alone until the last has its message, and a flag to stop would have to be read at every turn,
/// in shared memory, at a cost of its own. A clock has neither fault and is the same for Swift and C.
struct Bout {
    /// The instant (of `cb_now`) at which all begin.
    let start: UInt64
    /// How long it lasts, in ns.
    let length: UInt64
    /// What else is done in every turn.
    let work: LockWork
    /// How many turns are done between two looks at the clock, which costs as much as one turn.
    static let batch = 64

    /// A bout that begins once everybody can have been told.
    init(length: UInt64, work: LockWork) {
        start = cb_now() + 5_000_000
        self.length = length
        self.work = work
    }
}

/// Work under a lock and between two holds of it, in turns of `cb_spend`.
struct LockWork: Codable, Sendable {
    let inside: UInt32
    let outside: UInt32

    static let none = LockWork(inside: 0, outside: 0)

    /// In ns, on this machine.
    static func lasting(inside: UInt32, outside: UInt32) -> LockWork {
        LockWork(inside: cb_turns(inside), outside: cb_turns(outside))
    }
}

/// What one process did under a lock.
struct LockShare: Codable, Sendable {
    /// How often it locked, incremented and unlocked.
    let operations: UInt64
    /// When it began and ended, of `cb_now`.
    let began: UInt64
    let ended: UInt64

    init(operations: UInt64, began: UInt64, ended: UInt64) {
        self.operations = operations
        self.began = began
        self.ended = ended
    }

    init(_ share: cb_share) {
        self.init(operations: share.operations, began: share.began, ended: share.ended)
    }

    /// The time of one operation.
    var nanosecondsEach: Double {
        Double(ended - began) / Double(operations)
    }
}

/// A lock at which several processes contend, of the library or of C.
protocol ContendedLock: AnyObject {
    /// How it is called in the output.
    var name: String { get }
    /// How many processes contend.
    var members: Int { get }
    /// On how many processors.
    var processors: Int { get }
    /// What the slowest process did over its equal share, in the last bout.
    var fairness: Double { get set }

    /// All processes increment for the time of the bout. Blocks; throws when an increment was lost.
    func contended(_ bout: Bout) throws -> [LockShare]
}

/// A lock under measurement, of the library or of C: how one process and how several increment a counter under it.
protocol MeasuredLock: ContendedLock {
    /// One process increments so often. Blocks.
    func alone(operations: Int) throws -> LockShare
}

extension ContendedLock {
    /// Millions of increments a second of one bout, all processes together.
    func rate(length: UInt64, work: LockWork = .none) throws -> Double {
        let (start, shares, _) = try punctually(length: length, work: work) { (try contended($0), ()) }
        let counts = shares.map(\.operations)
        let sum = counts.reduce(0, +)
        if let least = counts.min(), sum > 0 { fairness = Double(least) * Double(counts.count) / Double(sum) }
        return Double(sum) * 1000 / Double((shares.map(\.ended).max() ?? start) - start)
    }

    /// Holds a bout at which all are in time; also when it began.
    ///
    /// A bout at which somebody came late was no contention for a part of it, and is held again. With more processes than processors
    /// some always come late, when the scheduler lets them; then it is enough that all came while the bout lasted.
    func punctually<T>(
        length: UInt64, work: LockWork, _ hold: (Bout) throws -> (shares: [LockShare], T)
    ) throws -> (start: UInt64, [LockShare], T) {
        let crowded = members > processors
        let length = crowded ? length * UInt64((members + processors - 1) / processors) : length
        for _ in 1...20 {
            let bout = Bout(length: length, work: work)
            let latest = bout.start + (crowded ? length : length / 10)
            let (shares, more) = try hold(bout)
            if !shares.isEmpty, shares.allSatisfy({ $0.began < latest }) { return (bout.start, shares, more) }
        }
        throw UnevenTeam(size: members)
    }
}
