import CBaselines

/// A lock of the C crew.
final class BaselineLock: MeasuredLock, TimedLock {
    let name: String
    let members: Int
    let processors: Int
    var fairness = 1.0
    private let kind: cb_lock_kind
    private let crew: Crew
    /// How many turns are done between two looks at the clock.
    private let batch: (LockWork) -> Int

    private init(_ name: String, _ kind: cb_lock_kind, _ team: Team, _ batch: @escaping (LockWork) -> Int) {
        self.name = name
        self.kind = kind
        crew = team.crew
        members = team.size
        processors = team.processorCount
        self.batch = batch
    }

    /// Every lock that the library's are compared with.
    static func all(_ team: Team, batch: @escaping (LockWork) -> Int = { _ in Bout.batch }) -> [BaselineLock] {
        [
            BaselineLock("c.tid-futex", CB_LOCK_TID_FUTEX, team, batch),
            BaselineLock("c.pthread-normal", CB_LOCK_PTHREAD_NORMAL, team, batch),
            BaselineLock("c.pthread-adaptive", CB_LOCK_PTHREAD_ADAPTIVE, team, batch),
            BaselineLock("c.pthread-robust", CB_LOCK_PTHREAD_ROBUST, team, batch),
        ]
    }

    /// What a read-write lock is compared with.
    static func readWrite(_ team: Team, batch: @escaping (LockWork) -> Int) -> [BaselineLock] {
        [
            BaselineLock("c.pthread-rwlock", CB_LOCK_PTHREAD_WRITE, team, batch),
            BaselineLock("c.pthread-rwlock-read", CB_LOCK_PTHREAD_READ, team, batch),
        ]
    }

    /// What the library's semaphore is compared with.
    static func semaphores(_ team: Team) -> [BaselineLock] {
        [
            BaselineLock("c.semaphore", CB_LOCK_SEMAPHORE, team) { _ in Bout.batch },
            BaselineLock("c.tid-futex", CB_LOCK_TID_FUTEX, team) { _ in Bout.batch },
        ]
    }

    func alone(operations: Int) throws -> LockShare {
        try crew.alone(kind, operations: operations)
    }

    func contended(_ bout: Bout) throws -> [LockShare] {
        try crew.contended(kind, bout, batch: batch(bout.work))
    }

    func timed(_ bout: Bout) throws -> (shares: [LockShare], waits: [UInt64]) { try crew.timed(kind, bout, batch: batch(bout.work)) }
}
