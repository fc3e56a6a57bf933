import Glibc
import Synchronization
import SystemLayer
import TestSupport
import Testing

@testable import SharedState

/// The words of a ``SharedReadWriteLock``; `Tests/MultiprocessingTests` has its behaviour between processes.
@Suite(.watchdog(seconds: 120)) struct ReadWriteLockTests {
    private final class Number: Sendable {
        private let number = Atomic<Int>(0)
        var value: Int { number.load(ordering: .sequentiallyConsistent) }
        func add(_ n: Int) { number.wrappingAdd(n, ordering: .sequentiallyConsistent) }
    }

    private struct Scene: Sendable {
        let reads = Number()
        let seen = Number()
        let hasWriter = Number()
        let isReleased = Number()
        let isOver = Number()

        /// A thread that writes until it is released. Returns when it does.
        func startWriter(_ lock: SharedReadWriteLock) async throws {
            try startThread(name: "first") {
                try? lock.withWriteLock {
                    hasWriter.add(1)
                    while isReleased.value == 0 { usleep(100) }
                }
            }
            while hasWriter.value == 0 { await Task.yield() }
        }
    }

    /// Wherever a reader has its place, a writer sees it.
    @Test func writersSeeEveryPlace() throws {
        let lock = try SharedReadWriteLock()
        let token = ThreadRecords.currentToken(in: lock.block.arena)
        let taken = (0..<ReaderPlaces.capacity).map { lock.places.take(UInt32(truncatingIfNeeded: $0 * 7) << 13 | token) }
        #expect(Set(taken.compactMap { $0 }).count == ReaderPlaces.capacity)
        #expect(lock.places.take(token) == nil)
        for place in taken.compactMap({ $0 }) { lock.places.free(place) }
        #expect(lock.places.areFree)
        for place in 0..<ReaderPlaces.capacity {
            lock.places.store(place, ReaderPlace(token))
            #expect(!lock.places.areFree)
            #expect(lock.places.precede(writerOf: 0))
            #expect(lock.places.contain(token))
            #expect(!lock.places.contain(token, except: place))
            lock.places.store(place, ReaderPlace(token, waitingSince: 7))
            #expect(lock.places.precede(writerOf: 8))
            #expect(!lock.places.precede(writerOf: 7))
            lock.places.free(place)
        }
        #expect(lock.places.areFree)
    }

    /// One more reader than there are places waits for one.
    @Test func readersWaitForAPlace() throws {
        let lock = try SharedReadWriteLock()
        let token = ThreadRecords.currentToken(in: lock.block.arena)
        let taken = (0..<ReaderPlaces.capacity).compactMap { _ in lock.places.take(token) }
        #expect(try lock.withReadLock(timeout: .milliseconds(5)) { true } == nil)
        let scene = Scene()
        try startThread(name: "reader") { try? lock.withReadLock { scene.reads.add(1) } }
        lock.endReading(taken[17])
        while scene.reads.value == 0 { sched_yield() }
        for place in taken where place != taken[17] { lock.endReading(place) }
        #expect(try lock.withWriteLock(timeout: .seconds(60)) { true } == true)
    }

    /// Those that wait when a writer ends read before the next one writes, however many tasks they are; then those that came since.
    @Test func waitingTasksReadBeforeTheNextWriter() async throws {
        let lock = try SharedReadWriteLock()
        let scene = Scene()
        try await scene.startWriter(lock)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<100 {
                group.addTask { try await lock.async.withReadLock { scene.reads.add(1) } }
            }
            while lock.parties.waitingCount < 100 { await Task.yield() }
            // One place for all of them.
            #expect((0..<ReaderPlaces.capacity).count { lock.places.load($0) != .free } == 1)
            try startThread(name: "second") {
                try? lock.withWriteLock { scene.seen.add(scene.reads.value) }
                scene.isOver.add(1)
            }
            scene.isReleased.add(1)
            try await group.waitForAll()
        }
        while scene.isOver.value == 0 { await Task.yield() }
        #expect(scene.seen.value == 100)
        #expect(lock.places.areFree)
        #expect(lock.writersWord == 0)
    }

    /// Also a task that had to wait holds the lock in its thread's name, and is told where it would wait for itself.
    @Test(arguments: [false, true]) func tasksAreToldToo(writes: Bool) async throws {
        let lock = try SharedReadWriteLock()
        let scene = Scene()
        try await scene.startWriter(lock)
        let task = Task {
            if writes {
                try await lock.async.withWriteLock {
                    #expect(throws: SharedMemoryError.self) { try lock.withWriteLock {} }
                    #expect(throws: SharedMemoryError.self) { try lock.withReadLock {} }
                }
            } else {
                try await lock.async.withReadLock { _ = #expect(throws: SharedMemoryError.self) { try lock.withWriteLock {} } }
            }
        }
        for _ in 0..<100 { await Task.yield() }
        scene.isReleased.add(1)
        try await task.value
        try lock.withWriteLock {}
        try lock.withReadLock {}
    }
}
