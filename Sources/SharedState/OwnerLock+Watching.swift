import Synchronization
import SystemLayer

extension OwnerLock {
    /// Calls `attempt`, which takes the lock if it is free and does everything under it, in one thread, at once and then whenever the lock looks free, until it
    /// returns something. It calls what it is given once it has the lock.
    /// - Throws: `CancellationError` when the task is cancelled while it waits; what `attempt` throws.
    func whenFree<R>(
        in arena: Arena, isolation: isolated (any Actor)?, _ attempt: (_ taken: () -> Void) throws -> R?
    ) async throws -> R {
        if let result = try attempt({}) { return result }
        try await AsyncGate.enter(offset)
        var isInside = true
        // The next may wait for the lock as soon as this one has it.
        func leave() {
            if isInside { AsyncGate.leave(offset) }
            isInside = false
        }
        defer { leave() }
        while true {
            if let result = try attempt(leave) { return result }
            try await AsyncWait.run { try waitUntilFree(in: arena, $0) }
        }
    }

    /// Waits, as who wants the lock does, until nobody holds it, and leaves it to another thread of this process to take it: somebody else may be faster.
    ///
    /// It ends with the lock announced. So whoever takes it next wakes a sleeper when it lets go, as the one that this thread may have been woken in place of. Should
    /// nobody take it, because the task it is meant for is gone, the sleepers find the free lock when they look by themselves.
    /// - Throws: `CancellationError` once `cancellation` is.
    func waitUntilFree(in arena: Arena, _ cancellation: WaitCancellation) throws {
        _ = ThreadRecords.currentToken(in: arena)
        // If this thread dies, another is woken in its place.
        ThreadRecords.enter(offset)
        defer { ThreadRecords.leave(offset) }
        cancellation.watch(announcement)
        defer { cancellation.unwatch() }
        var standsBack = true
        while true {
            let (current, seen, isSure) = announce()
            let owner = current & ThreadRecords.tokenMask
            if cancellation.isCancelled {
                // It may have been woken for it.
                if owner == 0 { wakeOne() }
                throw CancellationError()
            }
            if owner == 0 {
                if isFor(0) { return }
                // As in `lockSlowly`, who has asked need not be there to take it.
                if !standsBack { return withdrawAll() }
            }
            if !announcement.wait(while: seen, until: Self.limit(ofSleepFor: owner, isSure: isSure)) {
                standsBack = false
                // Should nobody be left to hand the lock on.
                if owner != 0, !ThreadRecords.isLive(owner, in: arena) { settle(owner) }
            }
        }
    }
}
