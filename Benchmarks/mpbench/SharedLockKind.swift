import CBaselines
import Multiprocessing

/// A `SharedLock` of one kind, in the workers of a pool.
///
/// Its turns lock and unlock, without the baseline's increment of a shared counter, which is about a nanosecond of theirs.
final class SharedLockKind: MeasuredLock {
    let name: String
    /// The lock in C that is the same, or nearest.
    let counterpart: String
    let members: Int
    let processors: Int
    var fairness = 1.0
    private let pool: Pool
    private let lock: SharedLock

    private init(_ name: String, _ kind: LockKind, like counterpart: String, _ team: Team) throws {
        self.name = name
        self.counterpart = counterpart
        pool = team.pool
        members = team.size
        processors = team.processorCount
        lock = try SharedLock(kind: kind)
    }

    /// Every kind there is.
    static func all(_ team: Team) throws -> [SharedLockKind] {
        [
            try SharedLockKind("adaptive", .adaptive, like: "c.tid-futex", team),
            try SharedLockKind("pthreadNormal", .pthreadNormal, like: "c.pthread-normal", team),
            try SharedLockKind("pthreadAdaptive", .pthreadAdaptive, like: "c.pthread-adaptive", team),
            try SharedLockKind("pthreadRobust", .pthreadRobust, like: "c.pthread-robust", team),
        ]
    }

    func alone(operations: Int) throws -> LockShare { try pool.apply(lockAlone, lock, operations) }

    func contended(_ bout: Bout) throws -> [LockShare] {
        let futures = (0..<members).map { _ in pool.applyAsync(lockContended, lock, bout.start, bout.length, bout.work) }
        return try futures.map { try $0.get() }
    }
}

/// Run in a worker: takes the lock so often, with nobody else at it.
private func lockAlone(_ lock: SharedLock, operations: Int) throws -> LockShare {
    let began = cb_now()
    for _ in 0..<operations {
        try lock.lock()
        try lock.unlock()
    }
    return LockShare(operations: UInt64(operations), began: began, ended: cb_now())
}

/// Run in a worker: takes the lock back to back, from the instant `start` (of `cb_now`) for `length` ns.
private func lockContended(_ lock: SharedLock, start: UInt64, length: UInt64, work: LockWork) throws -> LockShare {
    cb_sleep_until(start)
    let began = cb_now()
    var operations: UInt64 = 0
    repeat {
        for _ in 0..<Bout.batch {
            try lock.lock()
            cb_spend(work.inside)
            try lock.unlock()
            cb_spend(work.outside)
        }
        operations += UInt64(Bout.batch)
    } while cb_now() < start + length
    return LockShare(operations: operations, began: began, ended: cb_now())
}
