package import SystemLayer

/// What a copy of this process has of this room's own memory, beside the arena.
package enum ForkedState {
    /// The locks that a fork has to find free, in the order in which they are taken; each with what a forked child has to do while it is held: forget what is its parent's
    /// alone, above all threads and those that wait for them.
    package static var guarded: [(lock: HostLock, forget: @Sendable () -> Void)] {
        [
            (WaitingLine.lock, { WaitingLine.forgetAfterFork() }),
            (AsyncGate.lock, { AsyncGate.forgetAfterFork() }),
            (GivenTurns.lock, { GivenTurns.forgetAfterFork() }),
            (WaitingThreads.lock, { WaitingThreads.forgetAfterFork() }),
            (ProcessToken.lock, {}),
            (DescriptorService.lock, { DescriptorService.forgetAfterFork() }),
        ]
    }
}
