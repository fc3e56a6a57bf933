import Synchronization

@testable import SharedState

/// Deaths while a profiled lock is taken, held and released: of what was counted before nothing is lost, and nothing is counted twice.
extension LockExperiments {
    /// Takings that are timed: each process's first is, so it counts here, and for its own.
    static func profiledLock() throws { try killInProfiledLock("SharedLock, profiled", takenBefore: 1) }

    /// Victims come one after the other into the same place of the process table. Each finds there what the one before has done, and puts it aside.
    static func profiledLockInAnothersPlace() throws { try killInProfiledLock("SharedLock, profiled, a process's first", takenBefore: 0) }

    private static func killInProfiledLock(_ name: String, takenBefore: Int) throws {
        let arena = try Arena.current()
        let lock = try SharedLock(name: "profiled", profiling: true)
        let word = arena.word32(lock.block.offset + ObjectBlock.payload + LockLayout.lock)
        let census = Census(arena)
        /// What had been counted, all together, before the victim began.
        var counted = 0
        func take() throws { try lock.withLock(repair: {}, {}) }
        /// Makes the next taking one that is timed.
        func expectSample() {
            if let recorder = lock.recorder { (recorder.entry + 1).pointee.store(0, ordering: .relaxed) }
        }
        try take()
        try Execution(
            name: name, arena: arena, inheritsHandles: true, prepare: { _ in counted = lock.profile.acquisitions },
            before: {
                for _ in 0..<takenBefore { try take() }
                expectSample()
            },
            operation: { try take() },
            check: { _ in
                try requireEqual(word.pointee.load(ordering: .acquiring) & ~OwnerLock.ownerDied, 0)
                let before = counted + takenBefore
                func requireExact(_ own: Int, _ when: String) throws {
                    let profile = lock.profile
                    let sum = profile.processes.reduce(0) { $0 + $1.acquisitions }
                    guard profile.acquisitions == before + own || profile.acquisitions == before + own + 1, sum == profile.acquisitions
                    else {
                        throw Laboratory.Failure(
                            description: "\(when) \(profile.acquisitions) are counted, \(sum) by process, of \(before + own) or one more")
                    }
                }
                try requireExact(0, "after the death")
                try take()
                try requireExact(1, "after the next taking")
                try requireEqual(word.pointee.load(ordering: .acquiring), 0)
                try census.requireUnchanged(in: arena)
            }
        ).run()
    }
}
