import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    @Suite struct SharedReadWriteLockTests {
        /// Two numbers that writers keep equal, in place, and that nobody may see when they differ.
        @Test(arguments: StartMethod.all) func readersSeeWholeChanges(method: StartMethod) throws {
            let shared = Shared(lock: try SharedReadWriteLock(), numbers: try SharedArray<Int>(repeating: 0, count: 2))
            try withPool(processes: 4, configuration: .init(method)) { pool in
                let all = (0..<4).map { pool.applyAsync(readAndWrite, shared, 2000, $0 % 2 == 0 ? 2 : 10) }
                let written = try all.reduce(0) { try $0 + $1.get() }
                #expect(shared.numbers[0] == written)
                #expect(shared.numbers[1] == written)
            }
        }

        @Test func readersReadTogether() throws {
            let lock = try SharedReadWriteLock()
            let barrier = try SharedBarrier(parties: 8)
            let together = Counter()
            // All eight are in it at once, or the barrier breaks.
            onThreads(8) { _ in
                if (try? lock.withReadLock({ try barrier.wait(timeout: .seconds(60)) })) != nil { together.add(1) }
            }
            #expect(together.value == 8)
        }

        @Test func timeouts() throws {
            let lock = try SharedReadWriteLock()
            try lock.withWriteLock {
                onThreads(1) { _ in
                    #expect(throws: Never.self) {
                        try #expect(lock.withReadLock(timeout: .milliseconds(20)) { 1 } == nil)
                        try #expect(lock.withWriteLock(timeout: .milliseconds(20)) { 1 } == nil)
                    }
                }
            }
            try lock.withReadLock {
                onThreads(1) { _ in
                    #expect(throws: Never.self) {
                        try #expect(lock.withWriteLock(timeout: .milliseconds(20)) { 1 } == nil)
                        // The writer that gave up keeps nobody out.
                        try #expect(lock.withReadLock(timeout: .zero) { 1 } == 1)
                    }
                }
            }
            try #expect(lock.withWriteLock(timeout: .zero) { 1 } == 1)
        }

        @Test func whoWouldWaitForItselfIsTold() throws {
            let lock = try SharedReadWriteLock()
            try lock.withWriteLock {
                #expect(throws: SharedMemoryError.self) { try lock.withReadLock {} }
                #expect(throws: SharedMemoryError.self) { try lock.withWriteLock {} }
            }
            try lock.withReadLock { _ = #expect(throws: SharedMemoryError.self) { try lock.withWriteLock {} } }
            try lock.withWriteLock {}
        }

        @Test func bodiesThatThrowLetGo() throws {
            let lock = try SharedReadWriteLock()
            for _ in 0..<3 {
                #expect(throws: Refusal.self) { try lock.withWriteLock { throw Refusal(reason: "no") } }
                #expect(throws: Refusal.self) { try lock.withReadLock { throw Refusal(reason: "no") } }
            }
        }

        /// Neither side has to wait until the other has had enough.
        @Test func nobodyStarves() throws {
            let lock = try SharedReadWriteLock()
            let (reads, writes) = (Counter(), Counter())
            onThreads(6) { thread in
                while reads.value < 200 || writes.value < 200 {
                    if thread % 2 == 0 {
                        try? lock.withReadLock { reads.add(1) }
                    } else {
                        try? lock.withWriteLock { writes.add(1) }
                    }
                }
            }
            #expect(min(reads.value, writes.value) >= 200)
        }

        @Test(arguments: StartMethod.all) func aDeadReaderLetsGo(method: StartMethod) throws {
            let shared = Shared(lock: try SharedReadWriteLock(), numbers: try SharedArray<Int>(repeating: 0, count: 2))
            let begun = try SharedValue<Int>(0)
            let child = ChildProcess(stay, shared, begun, false, configuration: .init(method))
            try child.start()
            #expect(eventually { begun.value == 1 })
            try #expect(shared.lock.withWriteLock(timeout: .zero) { 1 } == nil)
            child.kill()
            try shared.lock.withWriteLock { shared.numbers[0] = 1 }
        }

        @Test(arguments: StartMethod.all) func aDeadWriterIsTold(method: StartMethod) throws {
            let shared = Shared(lock: try SharedReadWriteLock(), numbers: try SharedArray<Int>(repeating: 0, count: 2))
            for round in 0..<3 {
                let begun = try SharedValue<Int>(0)
                let child = ChildProcess(stay, shared, begun, true, configuration: .init(method))
                try child.start()
                #expect(eventually { begun.value == 1 })
                try #expect(shared.lock.withReadLock(timeout: .zero) { 1 } == nil)
                child.kill()
                // Readers, until a writer knows.
                for _ in 0..<3 { #expect(throws: OwnerDied.self) { try shared.lock.withReadLock {} } }
                if round == 0 {
                    #expect(throws: OwnerDied.self) { try shared.lock.withWriteLock {} }
                } else if round == 1 {
                    #expect(throws: Refusal.self) { try shared.lock.withWriteLock(repair: { throw Refusal(reason: "cannot") }) {} }
                    #expect(throws: OwnerDied.self) { try shared.lock.withWriteLock {} }
                } else {
                    var repaired = 0
                    try shared.lock.withWriteLock(repair: { repaired += 1 }) { #expect(repaired == 1) }
                    try shared.lock.withWriteLock(repair: { repaired += 1 }) { #expect(repaired == 1) }
                }
                try shared.lock.withReadLock {}
            }
        }

        @Test func readersAndWritersDieAtRandom() throws {
            let shared = Shared(lock: try SharedReadWriteLock(), numbers: try SharedArray<Int>(repeating: 0, count: 2))
            for _ in 0..<60 {
                let children = (0..<4).map { ChildProcess(goOn, shared, $0) }
                for child in children { try child.start() }
                usleep(UInt32.random(in: 0..<4000))
                for child in children { child.kill() }
                // While they die.
                try shared.lock.withWriteLock(repair: { shared.numbers[1] = shared.numbers[0] }) {
                    #expect(shared.numbers[0] == shared.numbers[1])
                }
                for child in children { try child.join() }
                try shared.lock.withWriteLock(repair: { shared.numbers[1] = shared.numbers[0] }) {}
                try shared.lock.withReadLock { #expect(shared.numbers[0] == shared.numbers[1]) }
            }
        }

        @Test func asynchronousForm() async throws {
            let lock = try SharedReadWriteLock()
            let counter = Counter()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<40 {
                    group.addTask {
                        if index % 4 == 0 {
                            try await lock.async.withWriteLock { counter.add(1) }
                        } else {
                            try await lock.async.withReadLock { counter.add(1) }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(counter.value == 40)
            // Another process holds it while they wait.
            let shared = Shared(lock: lock, numbers: try SharedArray<Int>(repeating: 0, count: 2))
            let begun = try SharedValue<Int>(0)
            let child = ChildProcess(stay, shared, begun, true)
            try child.start()
            #expect(eventually { begun.value == 1 })
            let waiting = [Task { try await lock.async.withReadLock {} }, Task { try await lock.async.withWriteLock {} }]
            for task in waiting { task.cancel() }
            for task in waiting { await #expect(throws: CancellationError.self) { try await task.value } }
            child.kill()
            try child.join()
        }
    }
}

private struct Shared: Codable, Sendable {
    let lock: SharedReadWriteLock
    let numbers: SharedArray<Int>
}

/// Every `often`th time, adds one to both numbers; else compares them.
@Sendable private func readAndWrite(_ shared: Shared, _ times: Int, _ often: Int) throws -> Int {
    var written = 0
    for time in 0..<times {
        if time % often == 0 {
            try shared.lock.withWriteLock {
                shared.numbers.withUnsafeMutableBufferPointer {
                    $0[0] += 1
                    $0[1] += 1
                }
            }
            written += 1
        } else {
            try shared.lock.withReadLock {
                let (a, b) = shared.numbers.withUnsafeMutableBufferPointer { ($0[0], $0[1]) }
                if a != b { throw Refusal(reason: "\(a) and \(b)") }
            }
        }
    }
    return written
}

@Sendable private func stay(_ shared: Shared, _ begun: SharedValue<Int>, _ writes: Bool) throws {
    let body = {
        begun.withLock { $0 += 1 }
        sleepForEver()
    }
    if writes { try shared.lock.withWriteLock(body) } else { try shared.lock.withReadLock(body) }
}

@Sendable private func goOn(_ shared: Shared, _ seed: Int) throws {
    while true { _ = try? readAndWrite(shared, 100, seed + 2) }
}
