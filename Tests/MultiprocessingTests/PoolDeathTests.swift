import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// What pools do when workers die.
    @Suite struct PoolDeathTests {
        @Test(arguments: StartMethod.all, Death.allCases) func deathCostsOneTask(method: StartMethod, how: Death) throws {
            try withPool(processes: 2, configuration: .init(method)) { pool in
                let before = (0..<20).map { pool.applyAsync(double, $0) }
                let lost = pool.applyAsync(die, how)
                let after = (20..<40).map { pool.applyAsync(double, $0) }
                let error = try errorThrown(WorkerTerminated.self) { try lost.get() }
                #expect(how.isShown(by: error.status), "\(how): \(error.status)")
                #expect(error.description.contains("die") && error.description.contains("\(error.processIdentifier)"))
                try #expect((before + after).map { try $0.get() } == (0..<40).map { 2 * $0 })
            }
        }

        @Test func workerIsReplaced() throws {
            try withPool(processes: 1) { pool in
                let first = try pool.apply(processIdentifier)
                let error = try errorThrown(WorkerTerminated.self) { try pool.apply(die, .killed) }
                #expect(error.processIdentifier == first)
                try #expect(pool.apply(processIdentifier) != first)
            }
        }

        @Test func everySecondTaskDies() throws {
            try withPool(processes: 2) { pool in
                let futures = (0..<40).map { pool.applyAsync($0) { (n: Int) in n % 2 == 0 ? n : die(.quickExit) } }
                for (n, future) in futures.enumerated() {
                    if n % 2 == 0 {
                        try #expect(future.get() == n)
                    } else {
                        #expect(throws: WorkerTerminated.self) { try future.get() }
                    }
                }
            }
        }

        @Test func deathCostsOneInputOfAChunk() throws {
            try withPool(processes: 2) { pool in
                let results = pool.imap(0..<100, chunkSize: 25) { (n: Int) in n == 50 ? die(.killed) : n }.map { $0 }
                #expect(results.count == 100)
                for (n, result) in results.enumerated() {
                    if n == 50 {
                        #expect(throws: WorkerTerminated.self) { try result.get() }
                    } else {
                        try #expect(result.get() == n)
                    }
                }
            }
        }

        @Test(arguments: StartMethod.all) func idleWorkerThatIsKilledIsReplaced(method: StartMethod) throws {
            try withPool(processes: 1, configuration: .init(method)) { pool in
                var pid = try pool.apply(processIdentifier)
                for _ in 0..<5 {
                    kill(pid, SIGKILL)
                    // It may die before or after it has taken the next task.
                    var next: Int32?
                    #expect(
                        eventually {
                            next = try? pool.apply(processIdentifier)
                            return next != nil && next != pid
                        })
                    pid = next ?? pid
                }
            }
        }

        @Test func stoppedWorkerIsOnlySlow() throws {
            try withPool(processes: 1) { pool in
                let pid = try pool.apply(processIdentifier)
                kill(pid, SIGSTOP)
                let future = pool.applyAsync(double, 4)
                #expect(throws: TaskTimeout.self) { try future.get(timeout: .milliseconds(50)) }
                kill(pid, SIGCONT)
                try #expect(future.get() == 8)
            }
        }

        // MARK: Retry

        @Test func lostTaskIsRunAgain() throws {
            let runs = try SharedValue<Int>(0)
            try withPool(processes: 2, configuration: .init(.forkServer) { $0.onWorkerDeath = .retry(attempts: 3) }) { pool in
                try #expect(pool.apply(dieUntil, runs, 3) == 3)
                #expect(runs.value == 3)
                runs.value = 0
                #expect(throws: WorkerTerminated.self) { try pool.apply(dieUntil, runs, 4) }
                #expect(runs.value == 3, "the first time is an attempt too")
                // What a function throws is no death.
                #expect(throws: Refusal.self) { try pool.apply(refuse, "no") }
            }
        }

        // MARK: Recycling and time

        @Test(arguments: StartMethod.all) func workersAreRecycled(method: StartMethod) throws {
            try withPool(processes: 1, configuration: .init(method) { $0.maxTasksPerWorker = 3 }) { pool in
                let pids = try pool.map(0..<12) { _ in getpid() }
                #expect(Set(pids).count == 4)
                for start in stride(from: 0, to: 12, by: 3) { #expect(Set(pids[start..<start + 3]).count == 1) }
            }
        }

        @Test func taskOverItsTimeIsEnded() throws {
            try withPool(processes: 1, configuration: .init(.forkServer) { $0.taskTimeout = .milliseconds(100) }) { pool in
                let pid = try pool.apply(processIdentifier)
                let slow = pool.applyAsync(sleepForEver)
                let quick = (0..<10).map { pool.applyAsync(double, $0) }
                #expect(throws: TaskTimeout.self) { try slow.get() }
                try #expect(quick.map { try $0.get() } == (0..<10).map { 2 * $0 })
                try #expect(pool.apply(processIdentifier) != pid)
                #expect(eventually { kill(pid, 0) != 0 })
            }
        }

        @Test func timeCountsFromWhenAWorkerTakesTheTask() throws {
            // Together they take far longer than each may.
            try withPool(processes: 1, configuration: .init(.forkServer) { $0.taskTimeout = .seconds(2) }) { pool in
                _ = try pool.map(0..<30) { (_: Int) in usleep(100_000) }
            }
        }

        // MARK: Initializers

        @Test(arguments: StartMethod.all) func initializerRunsInEachWorkerFirst(method: StartMethod) throws {
            let starts = try SharedValue<Int>(0)
            try withPool(processes: 2, initializer: WorkerInitializer(setUp, starts, 11), configuration: .init(method)) { pool in
                try #expect(pool.map(0..<20) { $0 + (setting.value ?? -1000) } == (11..<31).map { $0 })
                #expect(throws: WorkerTerminated.self) { try pool.apply(die, .killed) }
                try #expect(pool.map(0..<20) { $0 + (setting.value ?? -1000) } == (11..<31).map { $0 })
            }
            #expect((2...3).contains(starts.value))
        }

        @Test(arguments: StartMethod.all) func initializerThatThrowsBreaksThePool(method: StartMethod) throws {
            let pool = try Pool(processes: 2, initializer: WorkerInitializer(refuseToStart), configuration: .init(method))
            let error = try errorThrown(PoolError.self) { try pool.apply(double, 1) }
            guard case .broken(let cause) = error else { throw error }
            #expect((cause as? Refusal)?.reason == "not today")
            // It stays broken, says so at once, and can be closed as any other.
            #expect(throws: PoolError.self) { try pool.map(0..<10, double) }
            pool.close()
            try pool.join()
        }

        @Test(arguments: StartMethod.all) func initializerThatDiesBreaksThePool(method: StartMethod) throws {
            let tries = try SharedValue<Int>(0)
            let pool = try Pool(processes: 2, initializer: WorkerInitializer(dieAtStart, tries), configuration: .init(method))
            let futures = (0..<10).map { pool.applyAsync(double, $0) }
            for future in futures {
                let error = try errorThrown(PoolError.self) { try future.get() }
                guard case .broken(let cause) = error else { throw error }
                #expect((cause as? WorkerTerminated)?.status == .exited(9))
            }
            #expect(tries.value <= 20, "it does not try for ever")
            pool.terminate()
            try pool.join()
        }
    }
}

private nonisolated let setting = Setting()
private final class Setting: @unchecked Sendable { var value: Int? }

@Sendable private func setUp(_ starts: SharedValue<Int>, _ value: Int) {
    starts.withLock { $0 += 1 }
    setting.value = value
}

@Sendable private func refuseToStart() throws { throw Refusal(reason: "not today") }

@Sendable private func dieAtStart(_ tries: SharedValue<Int>) {
    tries.withLock { $0 += 1 }
    _exit(9)
}

/// Dies at every run before the `last`.
@Sendable private func dieUntil(_ runs: SharedValue<Int>, _ last: Int) -> Int {
    let run = runs.withLock {
        $0 += 1
        return $0
    }
    return run < last ? die(.killed) : run
}
