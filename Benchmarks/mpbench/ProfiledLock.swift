import BenchmarkSupport
import CBaselines
import Multiprocessing
import SharedState

/// The default lock with its profile, without, and in the way of a lock that cannot have one: what profiles cost those who use them, and those who do not.
final class ProfiledLock: MeasuredLock {
    /// How the lock is taken.
    enum Use: String, Codable {
        /// `lock()` and `unlock()` of a lock that keeps a profile.
        case profiled
        /// The same of a lock that keeps none.
        case plain
        /// The same lock by the same steps, without asking whether it keeps one.
        case bare
    }

    let name: String
    let members: Int
    let processors: Int
    var fairness = 1.0
    private let use: Use
    private let pool: Pool
    private let lock: SharedLock

    init(_ use: Use, _ team: Team) throws {
        self.use = use
        name = "SharedLock." + use.rawValue
        pool = team.pool
        members = team.size
        processors = team.processorCount
        lock = try SharedLock(name: name, profiling: use == .profiled)
    }

    /// So that it is the same object, in the same place, that both sides take.
    init(_ use: Use, of other: ProfiledLock) {
        self.use = use
        name = "SharedLock." + use.rawValue
        (pool, members, processors, lock) = (other.pool, other.members, other.processors, other.lock)
    }

    func alone(operations: Int) throws -> LockShare { try pool.apply(lockAlone, lock, operations, use) }

    func contended(_ bout: Bout) throws -> [LockShare] {
        let futures = (0..<members).map { _ in pool.applyAsync(lockContended, lock, bout.start, bout.length, use) }
        return try futures.map { try $0.get() }
    }

    /// `profiler.on`: a profiled lock by one that is not; `profiler.off`: one that is not by itself without the question.
    static func measure(_ team: Team, _ session: Session, isWanted: (String) -> Bool) throws -> [Figure] {
        let plain = try ProfiledLock(.plain, team)
        let pairs: [(metric: String, subject: ProfiledLock, baseline: ProfiledLock)] = [
            ("profiler.on", try ProfiledLock(.profiled, team), plain), ("profiler.off", plain, ProfiledLock(.bare, of: plain)),
        ]
        let length: UInt64 = session.quick ? 10_000_000 : 20_000_000
        return try pairs.filter { isWanted($0.metric + session.suffix(team.size)) }.compactMap { pair in
            let measurement = try PairedMeasurement.interleaved(pairs: session.pairs, direction: .higherIsBetter) {
                try pair.subject.rate(length: length)
            } baseline: {
                try pair.baseline.rate(length: length)
            }
            return Figure(
                metric: pair.metric + session.suffix(team.size), unit: "Mop/s", baseline: pair.baseline.name, measurement)
        }
    }
}

/// Run in a worker: so many turns.
@inline(__always)
private func take(_ lock: SharedLock, _ use: ProfiledLock.Use, times: Int) throws {
    switch use {
    case .bare: try takeBare(lock, times)
    case .plain: try takePlain(lock, times)
    case .profiled: try takeProfiled(lock, times)
    }
}

// A function for each, so that none of them shares a loop with another, and its compiler's choices.

@inline(never)
private func takeBare(_ lock: SharedLock, _ times: Int) throws {
    for _ in 0..<times {
        try lock.lockBare()
        try lock.unlockBare()
    }
}

@inline(never)
private func takePlain(_ lock: SharedLock, _ times: Int) throws {
    for _ in 0..<times {
        try lock.lock()
        try lock.unlock()
    }
}

@inline(never)
private func takeProfiled(_ lock: SharedLock, _ times: Int) throws {
    for _ in 0..<times {
        try lock.lock()
        try lock.unlock()
    }
}

/// Run in a worker: takes the lock so often, with nobody else at it.
private func lockAlone(_ lock: SharedLock, operations: Int, use: ProfiledLock.Use) throws -> LockShare {
    let began = cb_now()
    try take(lock, use, times: operations)
    return LockShare(operations: UInt64(operations), began: began, ended: cb_now())
}

/// Run in a worker: takes the lock back to back, from the instant `start` (of `cb_now`) for `length` ns.
private func lockContended(_ lock: SharedLock, start: UInt64, length: UInt64, use: ProfiledLock.Use) throws -> LockShare {
    cb_sleep_until(start)
    let began = cb_now()
    var operations: UInt64 = 0
    repeat {
        try take(lock, use, times: Bout.batch)
        operations += UInt64(Bout.batch)
    } while cb_now() < start + length
    return LockShare(operations: operations, began: began, ended: cb_now())
}
