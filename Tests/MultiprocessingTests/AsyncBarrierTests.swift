import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// Barriers at which tasks meet.
    @Suite struct AsyncBarrierTests {
        @Test func aThousandTasksAndAProcessMeet() async throws {
            let barrier = try SharedBarrier(parties: 1_001)
            let child = ChildProcess(barrier) { (barrier: SharedBarrier) in try (0..<2).map { _ in try barrier.wait() } }
            var indices: [Int] = []
            try await withThrowingTaskGroup(of: Int.self) { group in
                for round in 0..<2 {
                    for _ in 0..<1_000 { group.addTask { try await barrier.async.wait() } }
                    if round == 0 {
                        while barrier.waiting < 1_000 { await Task.yield() }
                        #expect(waitingThreads() < 100)
                        try child.start()
                    }
                    for _ in 0..<1_000 { indices.append(try await group.next() ?? -1) }
                }
            }
            indices += try await child.value
            #expect(indices.sorted() == (0...1_000).flatMap { [$0, $0] })
            #expect(!barrier.isBroken)
        }

        /// Whoever is cancelled at whatever moment: all pass, or nobody; nobody waits for ever.
        @Test func cancelledParties() async throws {
            let barrier = try SharedBarrier(parties: 6)
            var broken = 0
            for round in 0..<300 {
                let tasks = (0..<6).map { _ in Task { try await barrier.async.wait() } }
                for _ in 0..<Int.random(in: 0..<40) { await Task.yield() }
                for task in tasks.shuffled().prefix(round % 7) { task.cancel() }
                var passed: Set<Int> = []
                for task in tasks {
                    do { passed.insert(try await task.value) } catch is CancellationError {} catch let error as BrokenBarrier {
                        #expect(error.cause == .cancelled)
                    }
                }
                #expect(passed == [] || passed == Set(0..<6))
                // The party that was cancelled as all had come has broken nothing.
                #expect(barrier.isBroken == passed.isEmpty)
                if passed.isEmpty { broken += 1 }
                try barrier.reset()
                #expect(barrier.waiting == 0)
            }
            // Or the moments were none.
            #expect(broken > 0)
        }

        @Test func aTimeoutBreaksIt() async throws {
            let barrier = try SharedBarrier(parties: 3)
            let patient = Task { try await barrier.async.wait() }
            while barrier.waiting == 0 { await Task.yield() }
            for task in [Task { try await barrier.async.wait(timeout: .milliseconds(20)) }, patient] {
                do {
                    _ = try await task.value
                    Issue.record("not all have come")
                } catch let error as BrokenBarrier { #expect(error.cause == .timedOut) }
            }
            try #expect(errorThrown(BrokenBarrier.self) { try barrier.wait() }.cause == .timedOut)
        }

        /// Its tasks are parties, whichever threads they run on.
        @Test(arguments: [StartMethod.forkServer, .spawn]) func aProcessDiesWhoseTasksWait(method: StartMethod) async throws {
            let barrier = try SharedBarrier(parties: 100)
            for _ in 0..<5 {
                let child = ChildProcess(barrier, configuration: .init(method)) { (barrier: SharedBarrier) in
                    for _ in 0..<60 { Task { try await barrier.async.wait() } }
                    sleepForEver()
                }
                try child.start()
                let own = (0..<39).map { _ in Task { try await barrier.async.wait() } }
                #expect(eventually { barrier.waiting == 99 })
                child.kill()
                for task in own {
                    do {
                        _ = try await task.value
                        Issue.record("not all have come")
                    } catch let error as BrokenBarrier {
                        try #expect(error.cause == .partyDied(processIdentifier: #require(child.processIdentifier)))
                    }
                }
                _ = try? await child.value
                try barrier.reset()
                #expect(barrier.waiting == 0)
            }
            // As new.
            let tasks = (0..<100).map { _ in Task { try await barrier.async.wait() } }
            for task in tasks { _ = try await task.value }
        }

        @Test func anEndInOrderBreaksNothing() async throws {
            let barrier = try SharedBarrier(parties: 3)
            for _ in 0..<5 {
                let child = ChildProcess(barrier, try SharedSemaphore(0)) { (barrier: SharedBarrier, passed: SharedSemaphore) in
                    for _ in 0..<2 {
                        Task {
                            _ = try await barrier.async.wait()
                            try passed.release()
                        }
                    }
                    for _ in 0..<2 { try passed.acquire() }
                }
                try child.start()
                _ = try await barrier.async.wait()
                _ = try await child.value
                try child.join()
                #expect(!barrier.isBroken)
            }
        }
    }
}

/// How many threads of this process wait on behalf of tasks, or have nothing to do.
func waitingThreads() -> Int {
    entries(of: "/proc/self/task").count { readAll("/proc/self/task/\($0)/comm")?.hasPrefix("mp-wait") == true }
}
