import CBaselines
import Multiprocessing

/// A `SharedSemaphore` of one, in the workers of a pool. As those of ``SharedLockKind``, its turns increment nothing.
final class SemaphoreLock: MeasuredLock {
    let name = "semaphore"
    let members: Int
    let processors: Int
    var fairness = 1.0
    private let pool: Pool
    private let semaphore: SharedSemaphore

    init(_ team: Team) throws {
        pool = team.pool
        members = team.size
        processors = team.processorCount
        semaphore = try SharedSemaphore(1)
    }

    func alone(operations: Int) throws -> LockShare { try pool.apply(acquireAlone, semaphore, operations) }

    func contended(_ bout: Bout) throws -> [LockShare] {
        let futures = (0..<members).map { _ in pool.applyAsync(acquireContended, semaphore, bout.start, bout.length) }
        return try futures.map { try $0.get() }
    }
}

/// Run in a worker: takes the permit so often, with nobody else at it.
private func acquireAlone(_ semaphore: SharedSemaphore, operations: Int) throws -> LockShare {
    let began = cb_now()
    for _ in 0..<operations {
        try semaphore.acquire()
        try semaphore.release()
    }
    return LockShare(operations: UInt64(operations), began: began, ended: cb_now())
}

/// Run in a worker: takes the permit back to back, from the instant `start` (of `cb_now`) for `length` ns.
private func acquireContended(_ semaphore: SharedSemaphore, start: UInt64, length: UInt64) throws -> LockShare {
    cb_sleep_until(start)
    let began = cb_now()
    var operations: UInt64 = 0
    repeat {
        for _ in 0..<Bout.batch {
            try semaphore.acquire()
            try semaphore.release()
        }
        operations += UInt64(Bout.batch)
    } while cb_now() < start + length
    return LockShare(operations: operations, began: began, ended: cb_now())
}
