import CBaselines
import Multiprocessing
import SharedState

/// A lock whose waits can be timed.
protocol TimedLock: ContendedLock {
    /// As `contended`, each taking timed: also how many waits fell into each bucket of `cb_wait_bucket`.
    func timed(_ bout: Bout) throws -> (shares: [LockShare], waits: [UInt64])
}

extension TimedLock {
    /// The time, in ns, that 999 of a thousand takings do not exceed, in one bout.
    func longWait(length: UInt64, work: LockWork) throws -> Double {
        let (_, _, waits) = try punctually(length: length, work: work) { bout in
            let (shares, waits) = try timed(bout)
            return (shares, waits)
        }
        return DurationBuckets.quantile(0.999, of: waits) ?? .nan
    }
}

extension LockWork {
    /// How many turns are done between two looks at the clock: with long ones, as few as the clock does not show in.
    var batch: Int { inside + outside == 0 ? Bout.batch : 4 }
}

/// An object of the library's, in the workers of a pool.
final class MatrixSubject: TimedLock {
    let name: String
    let members: Int
    let processors: Int
    var fairness = 1.0
    private let pool: Pool
    private let lock: MatrixLock
    private let counter: SharedArray<Int64>

    init(_ kind: MatrixLock.Kind, _ team: Team) throws {
        name = kind.name
        pool = team.pool
        members = team.size
        processors = team.processorCount
        lock = try kind.make(team.size)
        counter = try SharedArray(repeating: 0, count: MatrixOrder.counterAt + 1)
    }

    func contended(_ bout: Bout) throws -> [LockShare] { try hold(bout, timed: false).map(\.share) }

    func timed(_ bout: Bout) throws -> (shares: [LockShare], waits: [UInt64]) {
        let answers = try hold(bout, timed: true)
        var waits = [UInt64](repeating: 0, count: Int(CB_WAIT_BUCKETS))
        for answer in answers {
            for (bucket, count) in answer.waits.enumerated() { waits[bucket] += count }
        }
        return (answers.map(\.share), waits)
    }

    private func hold(_ bout: Bout, timed: Bool) throws -> [MatrixShare] {
        let before = count
        let order = MatrixOrder(
            lock: lock, counter: counter, start: bout.start, length: bout.length, work: bout.work, batch: bout.work.batch, timed: timed)
        let futures = (0..<members).map { _ in pool.applyAsync(takeTurns, order) }
        let answers = try futures.map { try $0.get() }
        if let before, let after = count {
            let claimed = answers.reduce(0) { $0 + $1.share.operations }
            guard UInt64(after - before) == claimed else { throw LostIncrements(claimed: claimed, found: UInt64(after - before)) }
        }
        if case .queue(let queue) = lock, !queue.isEmpty { throw LostIncrements(claimed: 0, found: UInt64(queue.count)) }
        return answers
    }

    /// What was counted under it; nil of what does not let one in at a time.
    private var count: Int64? {
        switch lock {
        case .value(let value): value.value
        case .atomic(let atomic): atomic.load()
        case .readers, .mixed, .queue: nil
        case .lock, .recursive, .semaphore, .writers: counter[MatrixOrder.counterAt]
        }
    }
}
