import Glibc
import Synchronization
import SystemLayer
import TestSupport
import Testing

@testable import SharedState

/// A thread's list of the locks that it holds, which is all that is left of them when it dies.
@Suite(.serialized, .watchdog(seconds: 120)) struct NestedLockTests {
    private static func onThread<R: Sendable>(_ body: @escaping @Sendable () throws -> R) throws -> R {
        let result = HostLock()
        let ended = FutexWord.makeFutexWord()
        defer { ended.deallocate() }
        nonisolated(unsafe) var outcome: Result<R, any Error>?
        nonisolated(unsafe) let word = ended
        try startThread(name: "nested") {
            let value = Result { try body() }
            result.withLock { outcome = value }
            word.pointee.store(1, ordering: .releasing)
            word.wakeAll()
        }
        while ended.pointee.load(ordering: .acquiring) == 0 { ended.wait(while: 0) }
        guard let outcome = result.withLock({ outcome }) else { throw Unfinished() }
        return try outcome.get()
    }

    private struct Unfinished: Error {}

    /// Where the calling thread's record is.
    private static func record(in arena: Arena) -> Int {
        ArenaLayout.threadTable + (Int(ThreadRecords.currentToken(in: arena) & 0x1fff) - 1) * ArenaLayout.threadRecordSize
    }

    /// What is entered in the calling thread's list.
    private static func listed(in arena: Arena) -> (count: Int, places: [UInt64]) {
        let record = record(in: arena)
        func word(_ at: Int) -> UInt64 { arena.word(record + at).pointee.load(ordering: .relaxed) }
        let count = Int(word(ThreadRecords.depth))
        let own = (0..<min(count, ThreadRecords.listed)).map { word(ThreadRecords.locks + 8 * $0) }
        let index = (record - ArenaLayout.threadTable) / ArenaLayout.threadRecordSize
        let further = ThreadRecords.furtherRecords(of: index, in: arena).flatMap { index, _ in
            let places = ThreadRecords.record(index) + ThreadRecords.locks
            return (0..<ThreadRecords.listed).map { arena.word(places + 8 * $0).pointee.load(ordering: .relaxed) }
        }
        return (count, own + further)
    }

    /// With more locks than a record has places, released in another order than they were taken in: what is held is listed, and nothing else.
    @Test func theListHasWhatIsHeld() throws {
        let arena = try Arena.current()
        let values = try (0..<20).map { try SharedValue($0) }
        let locks = values.map { value in
            let offset = Int(value.handle) + ObjectBlock.payload
            return OwnerLock(word: arena.word32(offset), offset: UInt64(offset))
        }
        // What is recorded on a thread of one's own belongs to no test.
        let problem: String? = try Self.onThread {
            var random = SystemRandomNumberGenerator()
            for _ in 0..<300 {
                var held: Set<Int> = []
                for _ in 0..<60 {
                    let index = Int.random(in: 0..<20, using: &random)
                    if held.remove(index) != nil {
                        locks[index].unlock()
                    } else {
                        locks[index].lock(in: arena)
                        held.insert(index)
                    }
                    let (count, places) = Self.listed(in: arena)
                    let named = places.filter { $0 != 0 }
                    let locked = Set(held.map { locks[$0].offset })
                    if count != held.count || Set(named).count != named.count || locked != Set(named) {
                        return "\(places) of \(count) listed, \(locked) held"
                    }
                    for index in 0..<20 where held.contains(index) != locks[index].isHeldByCaller { return "\(index) of \(held)" }
                }
                for index in held { locks[index].unlock() }
                if Self.listed(in: arena).count != 0 { return "something is left" }
            }
            return nil
        }
        #expect(problem == nil)
        withExtendedLifetime(values) {}
    }

    /// A thread that ends gives up all that it holds, however much it is, and its records.
    @Test func everythingIsHandedOn() throws {
        let arena = try Arena.current()
        let values = try (0..<20).map { try SharedValue($0) }
        let locks = values.map { value in
            let offset = Int(value.handle) + ObjectBlock.payload
            return OwnerLock(word: arena.word32(offset), offset: UInt64(offset))
        }
        let records = try Self.onThread {
            for lock in locks { lock.lock(in: arena) }
            let own = (Self.record(in: arena) - ArenaLayout.threadTable) / ArenaLayout.threadRecordSize
            return [own] + ThreadRecords.furtherRecords(of: own, in: arena).map(\.index)
        }
        #expect(records.count == 4)
        // Nobody looks for dead owners: it is its end that frees them.
        #expect(eventually { locks.allSatisfy { $0.word.pointee.load(ordering: .acquiring) == OwnerLock.ownerDied } })
        #expect(eventually { records.allSatisfy { arena.word(ThreadRecords.record($0)).pointee.load(ordering: .acquiring) & 15 == 0 } })
        withExtendedLifetime(values) {}
    }

    /// A thread that has held more locks than its list has places does not take one for its own that it has released.
    @Test func aReleasedLockIsNotOnesOwn() throws {
        let locks = try (0..<7).map { _ in try SharedRecursiveLock() }
        for lock in locks { try lock.lock() }
        try locks[0].unlock()
        for lock in locks[1..<6].reversed() { try lock.unlock() }
        // Takes it, and ends holding it only once this thread has tried.
        let (taken, tried) = (FutexWord.makeFutexWord(), FutexWord.makeFutexWord())
        nonisolated(unsafe) let words = (taken, tried)
        let first = locks[0]
        try startThread(name: "other") {
            try? first.lock()
            words.0.pointee.store(1, ordering: .releasing)
            words.0.wakeAll()
            while words.1.pointee.load(ordering: .acquiring) == 0 { words.1.wait(while: 0) }
            try? first.unlock()
        }
        while taken.pointee.load(ordering: .acquiring) == 0 { taken.wait(while: 0) }
        #expect(try !first.tryLock())
        #expect(throws: SharedMemoryError.self) { try first.unlock() }
        tried.pointee.store(1, ordering: .releasing)
        tried.wakeAll()
        #expect(try first.lock(timeout: .seconds(60)))
        try first.unlock()
        try locks[6].unlock()
    }

    /// Of a thread that has ended, nothing stays listed: the next to have its record may die before it has cleared the list.
    @Test func aRecordIsLeftEmpty() throws {
        let arena = try Arena.current()
        let shared = try SharedValue(0)
        let offset = Int(shared.handle) + ObjectBlock.payload
        let lock = OwnerLock(word: arena.word32(offset), offset: UInt64(offset))
        let at = try Self.onThread {
            lock.lock(in: arena)
            return Self.record(in: arena)
        }
        #expect(eventually { arena.word(at).pointee.load(ordering: .acquiring) & 15 == 0 })
        #expect(arena.word(at + ThreadRecords.depth).pointee.load(ordering: .acquiring) == 0)
        #expect(lock.lock(in: arena), "its owner has died")
        lock.unlock()
    }

    /// A lock that is dropped while it is held keeps its memory, which is still listed; the handles that are not the last go as ever.
    @Test(arguments: [LockKind.adaptive, .pthreadRobust]) func aHeldLockIsNotFreed(kind: LockKind) throws {
        let arena = try Arena.current()
        let counts = try Self.onThread {
            let before = arena.objectsInUse
            var lock: SharedLock? = try SharedLock(kind: kind)
            let handle = lock?.handle ?? 0
            try lock?.lock()
            // A second handle comes and goes.
            _ = SharedLock.find(handle: handle, isHeld: false)
            lock = nil
            let whileHeld = arena.objectsInUse - before
            // Who finds it again may release it.
            lock = SharedLock.find(handle: handle, isHeld: false)
            try lock?.unlock()
            HandleRegistry.endCustody(of: handle, in: arena)
            lock = nil
            return [whileHeld, arena.objectsInUse - before]
        }
        #expect(counts == [1, 0])
    }

    /// Nor is one whose last handle another thread drops than the one that holds it.
    @Test(arguments: [LockKind.adaptive, .pthreadRobust]) func aLockThatAnotherThreadHoldsIsNotFreed(kind: LockKind) throws {
        let arena = try Arena.current()
        let before = arena.objectsInUse
        var lock: SharedLock? = try SharedLock(kind: kind)
        let held = Unmanaged.passUnretained(try #require(lock))
        let (isHeld, isToEnd, ended) = (WaitQueueTests.Ended(), WaitQueueTests.Ended(), WaitQueueTests.Ended())
        try startThread(name: "holder") {
            do { try held._withUnsafeGuaranteedRef { try $0.lock() } } catch { Issue.record("\(error)") }
            isHeld.end()
            isToEnd.wait()
            ended.end()
        }
        isHeld.wait()
        lock = nil
        #expect(arena.objectsInUse == before + 1)
        isToEnd.end()
        ended.wait()
    }
}
