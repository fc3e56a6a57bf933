import Glibc
import Synchronization
import SystemLayer
import TestSupport
import Testing

@testable import SharedState

/// A lock that somebody has asked for, who does not come: stopped, say, or dead and not reclaimed.
@Suite(.watchdog(seconds: 120)) struct LockAskingTests {
    private let arena: Arena
    private let shared: SharedValue<Int>
    private let lock: OwnerLock
    /// Nobody's.
    private let asker: UInt32 = 1 << 29

    init() throws {
        arena = try Arena.current()
        shared = try SharedValue(0)
        let offset = Int(shared.handle) + ObjectBlock.payload
        lock = OwnerLock(word: arena.word32(offset), offset: UInt64(offset))
    }

    private func leaveToAsker() {
        _ = lock.announce(asking: asker)
        lock.lock(in: arena)
        lock.unlock()
    }

    private var hasAsked: Bool { OwnerLock.asker(lock.announcement.pointee.load(ordering: .acquiring)) == asker }

    @Test func anUnlockLeavesItToTheAsker() {
        leaveToAsker()
        #expect(lock.word.pointee.load(ordering: .acquiring) == OwnerLock.left)
        #expect(!lock.isFor(asker + 1) && lock.isFor(asker))
    }

    /// Who stands back does so for a time, and then the asker no longer counts.
    @Test func itDelaysTheOthersOnce() {
        leaveToAsker()
        #expect(!lock.lock(in: arena), "nobody has died")
        #expect(!hasAsked)
        lock.unlock()
        #expect(lock.word.pointee.load(ordering: .acquiring) == 0)
    }

    @Test func itDelaysNobodyWhoDoesNotWait() {
        leaveToAsker()
        #expect(lock.tryLock(in: arena) == .taken)
        lock.unlock()
        #expect(hasAsked)
        #expect(lock.lock(until: .now, in: arena) == .taken)
        lock.unlock()
        #expect(lock.lock(until: Deadline(after: .microseconds(200)), in: arena) == .taken)
        lock.unlock()
    }

    @Test func itDelaysATaskOnce() throws {
        leaveToAsker()
        try lock.waitUntilFree(until: .never, in: arena, WaitCancellation())
        #expect(!hasAsked)
    }

    /// What a thread asks on a task's behalf stands until the task makes its attempt.
    @Test func aTaskAsksAfterAttemptsInVain() throws {
        let token = ThreadRecords.currentToken(in: arena)
        let first = try lock.waitUntilFree(in: arena, WaitCancellation(), afterAttempts: 1)
        #expect(lock.isFor(asker) && lock.conclude(first))
        let request = try lock.waitUntilFree(in: arena, WaitCancellation(), afterAttempts: 3)
        #expect(lock.isFor(token) && !lock.isFor(asker) && !lock.conclude(.none))
        #expect(lock.conclude(request))
        #expect(lock.isFor(asker))
    }

    @Test func aTaskLeavesItToTheAsker() throws {
        leaveToAsker()
        #expect(!lock.conclude(.none))
        // The asker has no thread that could take it.
        lock.settle(asker)
        #expect(lock.conclude(.none))
    }

    @Test func aCancelledTaskNoLongerAsks() throws {
        lock.lock(in: arena)
        let (cancellation, ended) = (WaitCancellation(), WaitQueueTests.Ended())
        try startThread(name: "test") {
            #expect(throws: CancellationError.self) { try lock.waitUntilFree(in: arena, cancellation, afterAttempts: 3) }
            ended.end()
        }
        #expect(eventually { OwnerLock.asker(lock.announcement.pointee.load(ordering: .acquiring)) != 0 })
        cancellation.cancel()
        ended.wait()
        #expect(lock.isFor(asker))
        lock.unlock()
        #expect(lock.word.pointee.load(ordering: .acquiring) == 0, "it was left to nobody")
    }

    @Test func theAskersDeathIsSettled() {
        leaveToAsker()
        lock.settle(asker)
        #expect(!hasAsked)
        #expect(!lock.lock(in: arena))
        lock.unlock()
    }

    /// Who is left a lock whose owner has died is told so.
    @Test func aDeathIsToldToTheAsker() {
        lock.word.pointee.store(asker + 1, ordering: .releasing)
        let token = ThreadRecords.currentToken(in: arena)
        _ = lock.announce(asking: token)
        lock.settle(asker + 1)
        ThreadRecords.enter(lock.offset)
        var sleeps = 1
        #expect(lock.waitAndTake(token, until: .never, in: arena, &sleeps) == .takenFromDead)
        #expect(lock.announcement.pointee.load(ordering: .acquiring) & ~OwnerLock.announced == 0)
        lock.unlock()
    }
}
