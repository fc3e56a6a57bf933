import Synchronization
import SystemLayer

extension OwnerLock {
    /// As ``AsyncGate/whenFree(_:until:isolation:waitUntilFree:_:)``, of this lock.
    func whenFree<R>(
        until deadline: Deadline, in arena: Arena, isolation: isolated (any Actor)?, _ attempt: () throws -> R?
    ) async throws -> R? {
        try await AsyncGate.whenFree(
            offset, until: deadline, isolation: isolation, waitUntilFree: { try waitUntilFree(until: deadline, in: arena, $0) }, attempt)
    }

    /// Waits, as who wants the lock does, until nobody holds it, at most until `deadline`, and leaves it to another thread of this process to take it: somebody else
    /// may be faster.
    ///
    /// It ends with the lock announced. So whoever takes it next wakes a sleeper when it lets go, as the one that this thread may have been woken in place of. Should
    /// nobody take it, because the task it is meant for is gone, the sleepers find the free lock when they look by themselves.
    /// - Throws: `CancellationError` once `cancellation` is.
    func waitUntilFree(until deadline: Deadline = .never, in arena: Arena, _ cancellation: WaitCancellation) throws {
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
            if deadline.hasPassed { return }
            if owner == 0 {
                if isFor(0) { return }
                // As in `lockSlowly`, who has asked need not be there to take it.
                if !standsBack { return withdrawAll() }
            }
            if !announcement.wait(while: seen, until: min(deadline, Self.limit(ofSleepFor: owner, isSure: isSure))) {
                standsBack = false
                // Should nobody be left to hand the lock on.
                if owner != 0, !ThreadRecords.isLive(owner, in: arena) { settle(owner) }
            }
        }
    }
}
