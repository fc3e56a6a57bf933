import CBaselines
import Multiprocessing

/// The lock of a `SharedValue`, in the workers of a pool.
final class SharedValueLock: MeasuredLock {
    let name = "SharedValue.withLock"
    let members: Int
    let processors: Int
    var fairness = 1.0
    private let pool: Pool
    private let shared: SharedValue<Int64>

    init(_ team: Team) throws {
        pool = team.pool
        members = team.size
        processors = team.processorCount
        shared = try SharedValue<Int64>(0)
    }

    func alone(operations: Int) throws -> LockShare {
        shared.value = 0
        let share = try pool.apply(incrementAlone, shared, operations)
        try check([share])
        return share
    }

    func contended(_ bout: Bout) throws -> [LockShare] {
        shared.value = 0
        let futures = (0..<members).map { _ in pool.applyAsync(incrementContended, shared, bout.start, bout.length, bout.work) }
        let shares = try futures.map { try $0.get() }
        try check(shares)
        return shares
    }

    private func check(_ shares: [LockShare]) throws {
        let claimed = shares.reduce(0) { $0 + $1.operations }
        guard UInt64(shared.value) == claimed else { throw LostIncrements(claimed: claimed, found: UInt64(shared.value)) }
    }
}

/// The lock let two in at the same time.
struct LostIncrements: Error, CustomStringConvertible {
    let claimed: UInt64
    let found: UInt64

    var description: String {
        "\(claimed) increments were made under the lock, and \(found) are in the shared value"
    }
}

/// Run in a worker: increments so often, with nobody else at the lock.
private func incrementAlone(_ shared: SharedValue<Int64>, operations: Int) -> LockShare {
    let began = cb_now()
    for _ in 0..<operations { shared.withLock { $0 += 1 } }
    return LockShare(operations: UInt64(operations), began: began, ended: cb_now())
}

/// Run in a worker: increments back to back, from the instant `start` (of `cb_now`) for `length` ns.
private func incrementContended(_ shared: SharedValue<Int64>, start: UInt64, length: UInt64, work: LockWork) -> LockShare {
    cb_sleep_until(start)
    let began = cb_now()
    var operations: UInt64 = 0
    let works = work.inside != 0 || work.outside != 0
    repeat {
        if works {
            incrementWorking(shared, work)
        } else {
            for _ in 0..<Bout.batch { shared.withLock { $0 += 1 } }
        }
        operations += UInt64(Bout.batch)
    } while cb_now() < start + length
    return LockShare(operations: operations, began: began, ended: cb_now())
}

/// One batch, with work.
private func incrementWorking(_ shared: SharedValue<Int64>, _ work: LockWork) {
    for _ in 0..<Bout.batch {
        shared.withLock {
            $0 += 1
            cb_spend(work.inside)
        }
        cb_spend(work.outside)
    }
}
