import SystemLayer
import TestSupport
import Testing

@testable import SharedState

/// The C library's robust lock tells of its owner's death once; who only waits for it passes that on.
@Suite(.watchdog(seconds: 120)) struct LockWatchingTests {
    @Test(arguments: LockKind.allCases) func aLockThatLooksFreeIsFree(kind: LockKind) throws {
        let lock = try SharedLock(kind: kind)
        try lock.waitUntilFree(until: .never, WaitCancellation())
        #expect(try lock.tryLock())
        let deadline = Deadline(after: .milliseconds(20))
        // Held: it returns at the deadline.
        try onThread { try lock.waitUntilFree(until: deadline, WaitCancellation()) }
        #expect(deadline.hasPassed)
        let cancellation = WaitCancellation()
        cancellation.cancel()
        try onThread { #expect(throws: CancellationError.self) { try lock.waitUntilFree(until: .never, cancellation) } }
        try lock.unlock()
    }

    @Test(arguments: [LockKind.adaptive, .pthreadRobust]) func aDeathThatWasSeenIsTold(kind: LockKind) throws {
        let lock = try SharedLock(name: "the dead one's", kind: kind, profiling: true)
        // A thread that ends with it.
        try onThread { try lock.lock() }
        for _ in 0..<3 { try onThread { try lock.waitUntilFree(until: .never, WaitCancellation()) } }
        #expect(throws: OwnerDied.self) { try lock.lock() }
        try lock.unlock()
        try lock.lock()
        try lock.unlock()
        #expect(lock.profile.ownerDeaths == 1)
    }

    /// Runs `body` on a thread of its own, and returns when that has been done; the thread is about to end.
    private func onThread(_ body: @escaping @Sendable () throws -> Void) throws {
        let ended = WaitQueueTests.Ended()
        try startThread(name: "test") {
            do { try body() } catch { Issue.record("\(error)") }
            ended.end()
        }
        ended.wait()
    }
}
