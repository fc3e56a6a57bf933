import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    @Suite struct SharedReadWriteLockAsyncTests {
        /// More tasks than the concurrency pool has threads, or the family may have.
        /// A task whose executor does not come to it has its turn for a moment, and holds up nobody.
        @Test(arguments: [false, true]) func aTaskThatDoesNotRunLosesItsTurn(writes: Bool) throws {
            let lock = try SharedReadWriteLock()
            let executor = OneThread()
            let count = try SharedValue(0)
            let holder = try Holder { try lock.withWriteLock($0) }
            let task = executor.start {
                let body = { count.withLock { $0 += 1 } }
                if writes { try await lock.async.withWriteLock(body) } else { try await lock.async.withReadLock(body) }
            }
            // As far as it comes.
            executor.runNext()
            holder.release()
            // It has its turn.
            executor.awaitJob()
            for _ in 0..<2 {
                try #expect(lock.withWriteLock(timeout: .seconds(60)) { count.withLock { $0 += 10 } } != nil)
                let child = ChildProcess(lock, count) { (lock: SharedReadWriteLock, count: SharedValue<Int>) in
                    try lock.withReadLock { count.withLock { $0 += 100 } }
                }
                try child.start()
                try child.result()
            }
            #expect(count.value == 220)
            try task.get()
            #expect(count.value == 221)
            try lock.withWriteLock {}
        }

        /// The same where the last writer has died: the task has told nobody, so the next is told.
        @Test func aDeathIsToldThoughATurnIsLost() throws {
            let lock = try SharedReadWriteLock()
            let executor = OneThread()
            let isWriting = try SharedEvent()
            let child = ChildProcess(lock, isWriting) { (lock: SharedReadWriteLock, isWriting: SharedEvent) in
                try lock.withWriteLock {
                    try isWriting.set()
                    while true { pause() }
                }
            }
            try child.start()
            try isWriting.wait()
            let task = executor.start { try await lock.async.withWriteLock {} }
            executor.runNext()
            child.kill()
            executor.awaitJob()
            #expect(throws: OwnerDied.self) { try lock.withWriteLock {} }
            try child.join()
            // Once.
            try task.get()
        }

        @Test func anyNumberOfTasksWait() async throws {
            let lock = try SharedReadWriteLock()
            let holder = try Holder { try lock.withWriteLock($0) }
            let (reads, writes) = (Counter(), Counter())
            let before = threadCount()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<2_000 { group.addTask { try await lock.async.withReadLock { reads.add(1) } } }
                for _ in 0..<200 { group.addTask { try await lock.async.withWriteLock { writes.add(1) } } }
                // The pool still runs this.
                for _ in 0..<100 { await Task.yield() }
                for _ in 0..<100 { #expect(await Task.detached { true }.value) }
                // The pool's own, one that waits to read, and one that waits to write.
                #expect(threadCount() - before < 64)
                #expect(reads.value + writes.value == 0)
                holder.release()
                try await group.waitForAll()
            }
            #expect(reads.value == 2_000)
            #expect(writes.value == 200)
            try #expect(lock.withWriteLock(timeout: .zero) { true } == true)
        }

        @Test func timeouts() async throws {
            let lock = try SharedReadWriteLock()
            let writer = try Holder { try lock.withWriteLock($0) }
            for timeout in [Duration.zero, .milliseconds(10)] {
                #expect(try await lock.async.withReadLock(timeout: timeout) { 1 } == nil)
                #expect(try await lock.async.withWriteLock(timeout: timeout) { 1 } == nil)
            }
            // Many at once, each with its own.
            try await withThrowingTaskGroup(of: Int?.self) { group in
                for i in 0..<100 {
                    let timeout = Duration.milliseconds((i * 37) % 50)
                    group.addTask {
                        i % 2 == 0
                            ? try await lock.async.withReadLock(timeout: timeout) { 1 }
                            : try await lock.async.withWriteLock(timeout: timeout) { 1 }
                    }
                }
                for try await result in group { #expect(result == nil) }
            }
            writer.release()
            #expect(try await lock.async.withWriteLock(timeout: .zero) { 1 } == 1)
            let reader = try Holder { try lock.withReadLock($0) }
            #expect(try await lock.async.withWriteLock(timeout: .milliseconds(10)) { 1 } == nil)
            // The writer that gave up keeps nobody out.
            #expect(try await lock.async.withReadLock(timeout: .zero) { 1 } == 1)
            reader.release()
            #expect(try await lock.async.withWriteLock(timeout: .zero) { 1 } == 1)
            #expect(try await lock.async.withWriteLock(timeout: .seconds(1000)) { 1 } == 1)
        }

        @Test func cancelledWaitsEnd() async throws {
            let lock = try SharedReadWriteLock()
            let waits: [@Sendable () async throws -> Void] = [
                { try await lock.async.withReadLock { _ = Issue.record("another writes") } },
                { _ = try await lock.async.withReadLock(timeout: .seconds(1000)) { Issue.record("another writes") } },
                { try await lock.async.withWriteLock { _ = Issue.record("another writes") } },
                { try await lock.async.withWriteLock(repair: {}) { _ = Issue.record("another writes") } },
                { _ = try await lock.async.withWriteLock(timeout: .seconds(1000)) { Issue.record("another writes") } },
            ]
            let holder = try Holder { try lock.withWriteLock($0) }
            for wait in waits { await expectCancellation(of: wait) }
            holder.release()
            // Nothing is held, and nobody is let pass who is not there.
            try #expect(lock.withWriteLock(timeout: .zero) { true } == true)
            try #expect(lock.withReadLock(timeout: .zero) { true } == true)
        }

        /// Tasks that are cancelled at any moment, beside a process that reads and writes: each has had its turn, or not.
        @Test func cancellationLosesNoTurn() async throws {
            let shared = Numbers(lock: try SharedReadWriteLock(), numbers: try SharedArray<Int>(repeating: 0, count: 2))
            let ended = try SharedEvent()
            let child = ChildProcess(shared, ended) { (shared: Numbers, ended: SharedEvent) in
                var written = 0
                while !ended.isSet {
                    try shared.lock.withWriteLock { shared.add() }
                    written += 1
                    for _ in 0..<3 { try shared.lock.withReadLock { try shared.compare() } }
                }
                try shared.lock.withWriteLock { shared.numbers[0] -= written }
                try shared.lock.withWriteLock { shared.numbers[1] -= written }
            }
            try child.start()
            var written = 0
            for _ in 0..<150 {
                let tasks = (0..<6).map { index in
                    Task {
                        do {
                            if index % 2 == 0 {
                                try await shared.lock.async.withReadLock { try shared.compare() }
                                return 0
                            }
                            try await shared.lock.async.withWriteLock { shared.add() }
                            return 1
                        } catch is CancellationError { return 0 }
                    }
                }
                for (index, task) in tasks.enumerated() where index < 4 {
                    for _ in 0..<index * 10 { await Task.yield() }
                    task.cancel()
                }
                for task in tasks { written += try await task.value }
            }
            try ended.set()
            _ = try await child.value
            try #expect(shared.lock.withReadLock { (shared.numbers[0], shared.numbers[1]) } == (written, written))
        }

        @Test func aDeadWriterIsTold() async throws {
            let lock = try SharedReadWriteLock()
            let begun = try SharedEvent()
            for asksBefore in [true, false] {
                let child = ChildProcess(lock, begun) { (lock: SharedReadWriteLock, begun: SharedEvent) in
                    try lock.withWriteLock {
                        try begun.set()
                        sleepForEver()
                    }
                }
                try child.start()
                try await begun.async.wait()
                try begun.clear()
                if !asksBefore {
                    child.kill()
                    try child.join()
                }
                let reading = Task { try await lock.async.withReadLock {} }
                for _ in 0..<20 { await Task.yield() }
                if asksBefore {
                    child.kill()
                    try child.join()
                }
                await #expect(throws: OwnerDied.self) { try await reading.value }
                let repaired = Counter()
                try await lock.async.withWriteLock(repair: { repaired.add(1) }) { #expect(repaired.value == 1) }
                try await lock.async.withReadLock {}
            }
        }

        /// What is done under the lock needs not be `Sendable`, and is done where the caller is.
        @Test @MainActor func bodiesStayWithTheCaller() async throws {
            let lock = try SharedReadWriteLock()
            var count = 0
            for _ in 0..<10 {
                try await lock.async.withReadLock { count += 1 }
                try await lock.async.withWriteLock { count += 1 }
            }
            #expect(count == 20)
        }
    }
}

private struct Numbers: Codable, Sendable {
    let lock: SharedReadWriteLock
    let numbers: SharedArray<Int>

    func add() {
        numbers.withUnsafeMutableBufferPointer {
            $0[0] += 1
            $0[1] += 1
        }
    }

    func compare() throws {
        let (a, b) = numbers.withUnsafeMutableBufferPointer { ($0[0], $0[1]) }
        if a != b { throw Refusal(reason: "\(a) and \(b)") }
    }
}

/// How many threads this process has.
private func threadCount() -> Int { entries(of: "/proc/self/task").count }
