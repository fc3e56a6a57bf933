import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    @Suite struct FutureTests {
        @Test func itsLife() throws {
            try withPool(processes: 1) { pool in
                let (begun, release) = (try SharedValue<Int>(0), try SharedValue<Int>(0))
                let first = pool.applyAsync(beginAndWait, begun, release)
                let second = pool.applyAsync(double, 2)
                #expect(eventually { begun.value == 1 })
                #expect(first.isRunning && !first.isDone && !first.isCancelled)
                #expect(!second.isRunning && !second.isDone)
                #expect(throws: TaskTimeout.self) { try first.get(timeout: .milliseconds(20)) }
                #expect(throws: TaskTimeout.self) { try second.get(timeout: .zero) }
                release.value = 9
                try #expect(first.get() == 9)
                #expect(first.isDone && !first.isRunning && !first.isCancelled)
                try #expect(first.get(timeout: .zero) == 9)
                try #expect(second.get(timeout: .seconds(100)) == 4)
            }
        }

        @Test func valueIsAwaitedByMany() async throws {
            let pool = try Pool(processes: 2)
            defer { pool.terminate() }
            let future = pool.applyAsync(double, 21)
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<20 { group.addTask { try await future.value } }
                for try await value in group { #expect(value == 42) }
            }
        }

        @Test func manyThreadsWaitForTheSame() throws {
            try withPool(processes: 1) { pool in
                let (begun, release) = (try SharedValue<Int>(0), try SharedValue<Int>(0))
                let future = pool.applyAsync(beginAndWait, begun, release)
                let sum = Counter()
                onThreads(10) { i in
                    if i == 0 { release.value = 5 }
                    sum.add((try? future.get()) ?? -100)
                }
                #expect(sum.value == 50)
            }
        }

        @Test func cancelWhatWaits() throws {
            try withPool(processes: 1) { pool in
                let (begun, release) = (try SharedValue<Int>(0), try SharedValue<Int>(0))
                let running = pool.applyAsync(beginAndWait, begun, release)
                let waiting = pool.applyAsync(beginAndStay, begun)
                #expect(eventually { begun.value == 1 })
                #expect(waiting.cancel())
                #expect(waiting.isDone && waiting.isCancelled && !waiting.isRunning)
                #expect(throws: CancellationError.self) { try waiting.get() }
                #expect(!waiting.cancel(), "it ends once")
                release.value = 1
                try #expect(running.get() == 1)
                #expect(!running.cancel())
                #expect(!running.isCancelled)
                #expect(begun.value == 1)
            }
        }

        @Test(arguments: StartMethod.all) func cancelWhatRuns(method: StartMethod) throws {
            try withPool(processes: 1, configuration: .init(method)) { pool in
                let begun = try SharedValue<Int>(0)
                let pid = try pool.apply(processIdentifier)
                let future = pool.applyAsync(beginAndStay, begun)
                let next = pool.applyAsync(processIdentifier)
                #expect(eventually { begun.value == 1 })
                #expect(future.cancel())
                #expect(future.isCancelled)
                #expect(throws: CancellationError.self) { try future.get() }
                try #expect(next.get() != pid)
                #expect(eventually { kill(pid, 0) != 0 }, "its worker has ended")
            }
        }

        @Test func cancelledMapIsCancelledWhole() throws {
            try withPool(processes: 1) { pool in
                let begun = try SharedValue<Int>(0)
                let future = pool.mapAsync([begun, begun, begun], beginAndStay)
                #expect(eventually { begun.value == 1 })
                #expect(future.cancel())
                #expect(throws: CancellationError.self) { try future.get() }
                try #expect(pool.apply(double, 1) == 2)
                #expect(begun.value == 1)
            }
        }

        // MARK: Callbacks

        @Test func callbacksComeOnceEach() throws {
            try withPool(processes: 1) { pool in
                let calls = Counter()
                let future = pool.applyAsync(double, 5)
                for _ in 0..<3 { future.whenDone { calls.add((try? $0.get()) ?? -1000) } }
                _ = try future.get()
                // Also when it is there already.
                future.whenDone { calls.add((try? $0.get()) ?? -1000) }
                #expect(eventually { calls.value == 40 })
                let failures = Counter()
                for future in [pool.applyAsync(refuse, "no"), pool.applyAsync(die, .killed)] {
                    future.whenDone { if case .failure = $0 { failures.add(1) } }
                }
                #expect(eventually { failures.value == 2 })
            }
        }

        @Test func callbackMaySubmitAndWait() throws {
            try withPool(processes: 1) { pool in
                let result = Counter()
                pool.applyAsync(double, 1).whenDone { first in
                    let second = try? pool.apply(double, first.get())
                    pool.applyAsync(double, second ?? -1000).whenDone { third in result.add((try? third.get()) ?? -1000) }
                }
                #expect(eventually { result.value == 8 })
            }
        }

        @Test func callbacksDoNotKeepOthersFromEnding() throws {
            try withPool(processes: 1) { pool in
                let release = Counter()
                pool.applyAsync(double, 1).whenDone { _ in while release.value == 0 { usleep(500) } }
                try #expect(pool.map(0..<3000, double).count == 3000)
                release.add(1)
            }
        }

        // MARK: Several

        @Test func asTheyComplete() async throws {
            let pool = try Pool(processes: 2)
            defer { pool.terminate() }
            let (begun, release) = (try SharedValue<Int>(0), try SharedValue<Int>(0))
            let futures = [pool.applyAsync(beginAndWait, begun, release)] + (1...3).map { pool.applyAsync(double, $0) }
            var values: [Int] = []
            for try await future in asCompleted(futures) {
                #expect(future.isDone)
                values.append(try future.get())
                if values.count == 3 { release.value = 100 }
            }
            #expect(values.last == 100)
            #expect(values.sorted() == [2, 4, 6, 100])
            for try await _ in asCompleted([Future<Int>]()) { Issue.record("there is none") }
        }

        @Test func asTheyCompleteInTime() async throws {
            let pool = try Pool(processes: 1)
            defer { pool.terminate() }
            let (begun, release) = (try SharedValue<Int>(0), try SharedValue<Int>(0))
            let future = pool.applyAsync(beginAndWait, begun, release)
            await #expect(throws: TaskTimeout.self) { for try await _ in asCompleted([future], timeout: .milliseconds(50)) {} }
            #expect(!future.isDone, "the work goes on")
            release.value = 1
            try await #expect(future.value == 1)
        }

        @Test func waitForSome() throws {
            try withPool(processes: 2) { pool in
                let (begun, release) = (try SharedValue<Int>(0), try SharedValue<Int>(0))
                let held = pool.applyAsync(beginAndWait, begun, release)
                let quick = pool.applyAsync(double, 1)
                var (done, pending) = try wait(for: [held, quick], until: .firstCompleted)
                #expect(done.count == 1 && done[0] === quick && pending.count == 1 && pending[0] === held)
                (done, pending) = try wait(for: [held, quick], timeout: .milliseconds(20))
                #expect(done.count == 1 && pending.count == 1, "a timeout does not throw")
                let failing = pool.applyAsync(refuse, "no")
                (done, pending) = try wait(for: [held, quick, failing], until: .firstError)
                #expect(done.contains { $0 === failing } && pending.count == 1)
                release.value = 1
                (done, pending) = try wait(for: [held, quick, failing])
                #expect(done.count == 3 && pending.isEmpty)
                (done, pending) = try wait(for: [])
                #expect(done.isEmpty && pending.isEmpty)
            }
        }
    }
}
