import Glibc
import Multiprocessing

/// A lock with a profile that a worker has taken a hundred times, then this process ten times; the last time it keeps it.
@Sendable func profiledLock(_: [String]) async throws {
    let lock = try SharedLock(name: "the \"lock\" of the fixture", profiling: true)
    let pool = try Pool(processes: 1)
    let worker = try pool.apply({ (lock: SharedLock) in try takeOften(lock, 100) }, lock)
    say("worker \(worker)")
    _ = try takeOften(lock, 9)
    try lock.lock()
    stay()
}

private func takeOften(_ lock: SharedLock, _ times: Int) throws -> Int32 {
    for _ in 0..<times { try lock.withLock {} }
    return getpid()
}
