import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    @Suite struct ExecutorTests {
        @Test(arguments: StartMethod.all) func everyKindOfCall(method: StartMethod) async throws {
            try await withProcessPoolExecutor(maxWorkers: 2, configuration: .init(method)) { ex in
                try #expect(ex.submit(add, 1, 2).get() == 3)
                try await #expect(ex.submit(20) { (n: Int) in n + 1 }.value == 21)
                try await ex.submit(doNothing).value
                try await #expect(ex.run(greet, "Jeff", 1) == "Hello Jeff")
                try await #expect(ex.run(4) { (n: Int) in n * n } == 16)
                try await ex.run(doNothing)
                async let a = ex.run(double, 1)
                async let b = ex.run(double, 2)
                try await #expect((a, b) == (2, 4))
                try await #expect(ex.runAll(0..<100, double) == (0..<100).map { 2 * $0 })
                try await ex.runAll(0..<10) { (_: Int) in doNothing() }
                try await #expect(ex.runAll([], double) == [])
            }
        }

        @Test func synchronousForm() throws {
            try #expect(withProcessPoolExecutor(maxWorkers: 1) { ex in try ex.submit(double, 2).get() } == 4)
            #expect(throws: Refusal.self) {
                try withProcessPoolExecutor(maxWorkers: 1) { ex in
                    ex.submit(sleepForEver)
                    throw Refusal(reason: "enough")
                }
            }
        }

        // MARK: run

        @Test func errorsArrive() async throws {
            try await withProcessPoolExecutor(maxWorkers: 1) { ex in
                await #expect(throws: Refusal(reason: "no", code: 7)) { try await ex.run(refuse, "no") }
                await #expect(throws: RemoteError.self) { try await ex.run(getIntoTrouble) }
                await #expect(throws: WorkerTerminated.self) { try await ex.run(die, .trap) }
                try await #expect(ex.run(double, 1) == 2)
            }
        }

        @Test func runOverItsTimeIsEnded() async throws {
            try await withProcessPoolExecutor(maxWorkers: 1) { ex in
                let pid = try await ex.run(processIdentifier)
                await #expect(throws: TaskTimeout.self) { try await ex.run(sleepForEver, timeout: .milliseconds(50)) }
                try await #expect(ex.run(processIdentifier) != pid)
                try await #expect(ex.run(double, 2, timeout: .seconds(100)) == 4)
                await #expect(throws: TaskTimeout.self) { try await ex.run(timeout: .milliseconds(50)) { sleepForEver() } }
            }
        }

        @Test func cancellingTheSwiftTaskEndsTheWorker() async throws {
            let begun = try SharedValue<Int>(0)
            try await withProcessPoolExecutor(maxWorkers: 1) { ex in
                let pid = try await ex.run(processIdentifier)
                let task = Task { try await ex.run(beginAndStay, begun) }
                while begun.value == 0 { try await Task.sleep(for: .milliseconds(1)) }
                task.cancel()
                await #expect(throws: CancellationError.self) { try await task.value }
                try await #expect(ex.run(processIdentifier) != pid)
            }
        }

        @Test func cancelledTaskStartsNothing() async throws {
            let begun = try SharedValue<Int>(0)
            try await withProcessPoolExecutor(maxWorkers: 1) { ex in
                let task = Task {
                    while !Task.isCancelled { await Task.yield() }
                    try await ex.run(beginAndStay, begun)
                }
                task.cancel()
                await #expect(throws: CancellationError.self) { try await task.value }
                try await #expect(ex.run(double, 1) == 2)
                #expect(begun.value == 0)
            }
        }

        // MARK: map

        @Test func mapIsBothSequences() async throws {
            try await withProcessPoolExecutor(maxWorkers: 2) { ex in
                var values: [Int] = []
                for try await n in ex.map([1, 3, 5, 22], double) { values.append(n) }
                #expect(values == [2, 6, 10, 44])
                var results: [Int] = []
                for r in ex.map([1, 3, 5, 22], chunkSize: 2, double) { results.append(try r.get()) }
                #expect(results == values)
            }
        }

        @Test func mapThrowsInItsPlace() async throws {
            try await withProcessPoolExecutor(maxWorkers: 2) { ex in
                var values: [Int] = []
                await #expect(throws: Refusal(reason: "odd", code: 3)) {
                    for try await n in ex.map([2, 4, 3, 6], refuseOdd) { values.append(n) }
                }
                #expect(values == [2, 4])
                await #expect(throws: UsageError.self) { for try await _ in ex.map([1], chunkSize: 0, double) {} }
            }
        }

        @Test func mapWithTimeout() async throws {
            try await withProcessPoolExecutor(maxWorkers: 1) { ex in
                let begun = try SharedValue<Int>(0)
                let release = try SharedValue<Int>(0)
                let pairs = [Pair(begun: begun, release: release)]
                // Blocking and asynchronous; the work goes on.
                for result in ex.map(pairs, timeout: .milliseconds(50), { $0.wait() }) {
                    #expect(throws: TaskTimeout.self) { try result.get() }
                }
                await #expect(throws: TaskTimeout.self) { for try await _ in ex.map(pairs, timeout: .milliseconds(50), { $0.wait() }) {} }
                release.value = 5
                try await #expect(ex.run(double, 1) == 2)
                #expect(begun.value == 2)
                for try await n in ex.map(pairs, timeout: .seconds(100), { $0.wait() }) { #expect(n == 5) }
            }
        }

        @Test func leavingTheLoopEarly() async throws {
            try await withProcessPoolExecutor(maxWorkers: 1) { ex in
                let (begun, free, hold) = (try SharedValue<Int>(0), try SharedValue<Int>(1), try SharedValue<Int>(0))
                // The second holds the worker up until the loop has been left.
                let pairs = (0..<5000).map { Pair(begun: begun, release: $0 == 0 ? free : hold) }
                for try await n in ex.map(pairs, { $0.wait() }) {
                    #expect(n == 1)
                    break
                }
                hold.value = 1
                try await #expect(ex.run(double, 1) == 2)
                #expect(begun.value <= 2)
            }
        }

        @Test func cancellingTheLoop() async throws {
            let begun = try SharedValue<Int>(0)
            let release = try SharedValue<Int>(0)
            try await withProcessPoolExecutor(maxWorkers: 1) { ex in
                let task = Task {
                    for try await _ in ex.map([Pair(begun: begun, release: release)], { $0.wait() }) {}
                }
                while begun.value == 0 { try await Task.sleep(for: .milliseconds(1)) }
                task.cancel()
                await #expect(throws: CancellationError.self) { try await task.value }
                release.value = 1
            }
        }

        // MARK: runAll and mapAsCompleted

        @Test func runAllEndsWithTheFirstError() async throws {
            try await withProcessPoolExecutor(maxWorkers: 2) { ex in
                await #expect(throws: Refusal(reason: "odd", code: 3)) { try await ex.runAll([2, 3, 4], refuseOdd) }
                await #expect(throws: WorkerTerminated.self) { try await ex.runAll([Death.killed], die) }
                try await #expect(ex.runAll(0..<5000, double).last == 9998)
            }
        }

        @Test func cancelledRunAllEndsItsWorkers() async throws {
            let begun = try SharedValue<Int>(0)
            try await withProcessPoolExecutor(maxWorkers: 2) { ex in
                let task = Task { try await ex.runAll([begun, begun, begun], beginAndStay) }
                while begun.value < 2 { try await Task.sleep(for: .milliseconds(1)) }
                task.cancel()
                await #expect(throws: CancellationError.self) { try await task.value }
                try await #expect(ex.runAll([1, 2], double) == [2, 4])
                #expect(begun.value == 2)
            }
        }

        @Test func mapAsCompletedGivesWhatIsThere() async throws {
            try await withProcessPoolExecutor(maxWorkers: 2) { ex in
                let begun = try SharedValue<Int>(0)
                let hold = try SharedValue<Int>(0)
                let free = try SharedValue<Int>(1)
                var indices: [Int] = []
                let inputs = [hold, free, free, free].map { Pair(begun: begun, release: $0) }
                for await (index, result) in ex.mapAsCompleted(inputs, { $0.wait() }) {
                    try #expect(result.get() == 1)
                    indices.append(index)
                    if indices.count == 3 { hold.value = 1 }
                }
                #expect(indices.last == 0)
                #expect(indices.sorted() == [0, 1, 2, 3])
                var failed = 0
                for await (index, result) in ex.mapAsCompleted([1, 2, 3], refuseOdd) {
                    if case .failure(let error) = result { failed += (error as? Refusal)?.code == index + 1 ? 1 : 100 }
                }
                #expect(failed == 2)
            }
        }

        // MARK: Ends

        @Test func shutdownWaitsForWork() throws {
            let ex = try ProcessPoolExecutor(maxWorkers: 2)
            let futures = (0..<50).map { ex.submit(double, $0) }
            ex.shutdown()
            #expect(futures.allSatisfy { $0.isDone })
            try #expect(futures.map { try $0.get() } == (0..<50).map { 2 * $0 })
            #expect(throws: PoolError.self) { try ex.submit(double, 1).get() }
            ex.shutdown()
        }

        @Test func shutdownMayDropWhatWaits() throws {
            let begun = try SharedValue<Int>(0)
            let release = try SharedValue<Int>(0)
            let ex = try ProcessPoolExecutor(maxWorkers: 1)
            let running = ex.submit(beginAndWait, begun, release)
            let waiting = (0..<10).map { ex.submit(double, $0) }
            #expect(eventually { begun.value == 1 })
            ex.shutdown(wait: false, cancelPending: true)
            for future in waiting {
                #expect(throws: CancellationError.self) { try future.get() }
                #expect(future.isCancelled)
            }
            #expect(!running.isDone)
            release.value = 3
            try #expect(running.get() == 3)
            ex.shutdown()
        }

        @Test func workGoesOnPastTheLastReference() throws {
            func futures() throws -> [Future<Int>] {
                let ex = try ProcessPoolExecutor(maxWorkers: 2)
                let futures = (0..<50).map { ex.submit(double, $0) }
                ex.shutdown(wait: false)
                return futures
            }
            try #expect(futures().map { try $0.get() } == (0..<50).map { 2 * $0 })
        }

        @Test(arguments: [true, false]) func workersAreEnded(kill: Bool) throws {
            let begun = try SharedValue<Int>(0)
            let leaks = try leaks {
                let ex = try ProcessPoolExecutor(maxWorkers: 2)
                let running = [ex.submit(beginAndStay, begun), ex.submit(ignoreTermination, begun)]
                let waiting = ex.submit(double, 1)
                #expect(eventually { begun.value == 2 })
                if kill { ex.killWorkers() } else { ex.terminateWorkers() }
                for future in running { #expect(throws: (any Error).self) { try future.get() } }
                #expect(throws: (any Error).self) { try waiting.get() }
                #expect(throws: (any Error).self) { try ex.submit(double, 1).get() }
            }
            #expect(leaks.isEmpty)
        }
    }
}

private struct Pair: Codable, Sendable {
    let begun: SharedValue<Int>
    let release: SharedValue<Int>
    func wait() -> Int { beginAndWait(begun, release) }
}

@Sendable private func ignoreTermination(_ begun: SharedValue<Int>) {
    signal(SIGTERM, SIG_IGN)
    beginAndStay(begun)
}
