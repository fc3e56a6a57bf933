import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    @Suite struct SharedBarrierTests {
        @Test(arguments: StartMethod.all) func allGoOnWhenAllHaveCome(method: StartMethod) throws {
            let barrier = try SharedBarrier(parties: 3)
            let arrived = try SharedValue<Int>(0)
            try withPool(processes: 3, configuration: .init(method)) { pool in
                let rounds = (0..<3).map { _ in
                    pool.applyAsync(
                        { (barrier: SharedBarrier, arrived: SharedValue<Int>) throws -> [Int] in
                            try (0..<500).map { round in
                                arrived.withLock { $0 += 1 }
                                let index = try barrier.wait()
                                // Nobody is let through before all have come, and nobody comes again before all are through.
                                let count = arrived.value
                                guard count >= 3 * (round + 1), count <= 3 * (round + 2) else {
                                    throw Refusal(reason: "\(count) in \(round)")
                                }
                                return index
                            }
                        }, barrier, arrived)
                }
                let indices = try rounds.map { try $0.get() }
                for round in 0..<500 { #expect(Set(indices.map { $0[round] }) == [0, 1, 2]) }
                #expect(barrier.waiting == 0)
            }
        }

        @Test func moreThreadsThanParties() throws {
            let barrier = try SharedBarrier(parties: 2)
            let (zeros, passes) = (Counter(), Counter())
            onThreads(6) { _ in
                while let index = try? barrier.wait() {
                    passes.add(1)
                    if index == 0 { zeros.add(1) }
                    // Those who still wait then would do so for ever.
                    if zeros.value >= 900 { try? barrier.abort() }
                }
            }
            #expect(zeros.value >= 900)
            #expect(passes.value == 2 * zeros.value)
        }

        @Test func aTimeoutBreaksIt() throws {
            let barrier = try SharedBarrier(parties: 3)
            let broken = Counter()
            onThreads(2) { thread in
                do { _ = thread == 0 ? try barrier.wait(timeout: .milliseconds(50)) : try barrier.wait() } catch let error as BrokenBarrier
                {
                    if error.cause == .timedOut { broken.add(1) }
                } catch {}
            }
            #expect(broken.value == 2)
            #expect(barrier.isBroken)
            try #expect(errorThrown(BrokenBarrier.self) { try barrier.wait() }.cause == .timedOut)
            try barrier.reset()
            #expect(!barrier.isBroken)
            onThreads(3) { _ in if (try? barrier.wait()) != nil { broken.add(10) } }
            #expect(broken.value == 32)
        }

        @Test(arguments: [false, true]) func whoWaitsIsToldOfAnEnd(byReset: Bool) throws {
            let barrier = try SharedBarrier(parties: 2)
            for _ in 0..<200 {
                let told = Counter()
                onThreads(2) { thread in
                    if thread == 1 {
                        while barrier.waiting == 0 { sched_yield() }
                        try? byReset ? barrier.reset() : barrier.abort()
                    } else {
                        do { _ = try barrier.wait() } catch let error as BrokenBarrier {
                            if error.cause == (byReset ? .reset : .aborted) { told.add(1) }
                        } catch {}
                    }
                }
                #expect(told.value == 1)
                #expect(barrier.isBroken == !byReset)
                try barrier.reset()
            }
        }

        @Test(arguments: StartMethod.all, [Death.killed, .trap, .exit0]) func aDeathWhileOthersWaitBreaksIt(method: StartMethod, how: Death)
            throws
        {
            let barrier = try SharedBarrier(parties: 3)
            // One waits, one has come to nothing yet, this thread waits.
            let waiter = ChildProcess(stayAtBarrier, barrier, configuration: .init(method))
            let late = ChildProcess(dieBeforeBarrier, barrier, how, configuration: .init(method))
            try waiter.start()
            try late.start()
            let error = try errorThrown(BrokenBarrier.self) { try barrier.wait() }
            try #expect(error.cause == .partyDied(processIdentifier: #require(late.processIdentifier)))
            try #expect(errorThrown(BrokenBarrier.self) { try waiter.result() }.cause == error.cause)
            try late.join()
            // Both are gone; two threads and a new process are parties as good.
            try barrier.reset()
            let another = ChildProcess(stayAtBarrier, barrier, configuration: .init(method))
            try another.start()
            let passed = Counter()
            onThreads(2) { _ in if (try? barrier.wait()) != nil { passed.add(1) } }
            #expect(passed.value == 2)
            try #expect(another.result() >= 0)
        }

        @Test(arguments: StartMethod.all) func aDeathInTheBarrierBreaksIt(method: StartMethod) throws {
            let barrier = try SharedBarrier(parties: 3)
            let waiter = ChildProcess(stayAtBarrier, barrier, configuration: .init(method))
            try waiter.start()
            #expect(eventually { barrier.waiting == 1 })
            waiter.kill()
            let error = try errorThrown(BrokenBarrier.self) { try barrier.wait() }
            try #expect(error.cause == .partyDied(processIdentifier: #require(waiter.processIdentifier)))
        }

        @Test(arguments: StartMethod.all) func anEndInOrderBreaksNothing(method: StartMethod) throws {
            let barrier = try SharedBarrier(parties: 2)
            for _ in 0..<5 {
                let child = ChildProcess(stayAtBarrier, barrier, configuration: .init(method))
                try child.start()
                try #expect(barrier.wait() + child.result() == 1)
                try child.join()
            }
            // It captures the barrier to its end.
            let child = ChildProcess(configuration: .init(.fork)) { try barrier.wait() }
            try child.start()
            try #expect(barrier.wait() + child.result() == 1)
            try child.join()
            try withPool(processes: 2, configuration: .init(method) { $0.maxTasksPerWorker = 1 }) { pool in
                for _ in 0..<5 {
                    let both = (0..<2).map { _ in pool.applyAsync(stayAtBarrier, barrier) }
                    try #expect(both.map { try $0.get() }.sorted() == [0, 1])
                }
            }
            // Nor does one in whose queue it was.
            let keeper = ChildProcess({ try SharedQueue<SharedBarrier>(capacity: 1).put($0) }, barrier, configuration: .init(method))
            try keeper.start()
            try keeper.result()
            try keeper.join()
            #expect(!barrier.isBroken)
        }

        /// Parties come and are killed at any moment; whoever is left is told, and after a reset it is as new.
        @Test func partiesDieAtRandom() throws {
            let barrier = try SharedBarrier(parties: 3)
            for _ in 0..<60 {
                let children = (0..<3).map { _ in ChildProcess(passForEver, barrier) }
                for child in children { try child.start() }
                usleep(UInt32.random(in: 0..<4000))
                children.randomElement()?.kill()
                for child in children { try child.join() }
                #expect(barrier.isBroken)
                try barrier.reset()
                #expect(!barrier.isBroken)
                #expect(barrier.waiting == 0)
            }
        }

        @Test func asynchronousForm() async throws {
            let barrier = try SharedBarrier(parties: 3)
            // More waits than the concurrency pool has threads.
            let indices = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<30 { group.addTask { try await barrier.async.wait() } }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(indices.count { $0 == 0 } == 10)
            let cancelled = Task { try await barrier.async.wait() }
            while barrier.waiting == 0 { await Task.yield() }
            cancelled.cancel()
            await #expect(throws: CancellationError.self) { try await cancelled.value }
            try #expect(errorThrown(BrokenBarrier.self) { try barrier.wait() }.cause == .cancelled)
        }

        @Test func partiesThatMeanNothing() throws {
            for parties in [0, -1, Int.min, Int.max] { #expect(throws: SharedMemoryError.self) { try SharedBarrier(parties: parties) } }
            try #expect(SharedBarrier(parties: 1).wait() == 0)
        }
    }
}

@Sendable private func stayAtBarrier(_ barrier: SharedBarrier) throws -> Int { try barrier.wait() }

@Sendable private func dieBeforeBarrier(_ barrier: SharedBarrier, _ how: Death) throws -> Int {
    while barrier.waiting < 2 { usleep(500) }
    how.happen()
    return try barrier.wait()
}

@Sendable private func passForEver(_ barrier: SharedBarrier) throws {
    do { while true { _ = try barrier.wait() } } catch is BrokenBarrier {}
}
