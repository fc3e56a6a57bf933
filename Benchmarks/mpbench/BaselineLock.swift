import CBaselines

/// A lock of the C crew.
final class BaselineLock: MeasuredLock {
    let name: String
    let members: Int
    let processors: Int
    var fairness = 1.0
    private let kind: cb_lock_kind
    private let crew: Crew

    private init(_ name: String, _ kind: cb_lock_kind, _ team: Team) {
        self.name = name
        self.kind = kind
        crew = team.crew
        members = team.size
        processors = team.processorCount
    }

    /// Every lock that the library's are compared with.
    static func all(_ team: Team) -> [any MeasuredLock] {
        [
            BaselineLock("c.tid-futex", CB_LOCK_TID_FUTEX, team),
            BaselineLock("c.pthread-normal", CB_LOCK_PTHREAD_NORMAL, team),
            BaselineLock("c.pthread-adaptive", CB_LOCK_PTHREAD_ADAPTIVE, team),
            BaselineLock("c.pthread-robust", CB_LOCK_PTHREAD_ROBUST, team),
        ]
    }

    func alone(operations: Int) throws -> LockShare {
        try crew.alone(kind, operations: operations)
    }

    func contended(_ bout: Bout) throws -> [LockShare] {
        try crew.contended(kind, bout)
    }
}
