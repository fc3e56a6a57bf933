import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// How pools end: by being closed, terminated, dropped.
    @Suite struct PoolEndTests {
        @Test(arguments: StartMethod.all) func closedPoolFinishesItsWork(method: StartMethod) throws {
            let pool = try Pool(processes: 2, configuration: .init(method))
            let futures = (0..<200).map { pool.applyAsync(double, $0) }
            pool.close()
            try pool.join()
            #expect(futures.allSatisfy { $0.isDone })
            try #expect(futures.map { try $0.get() } == (0..<200).map { 2 * $0 })
        }

        @Test func nothingIsTakenAfterClose() throws {
            let pool = try Pool(processes: 1)
            pool.close()
            #expect(throws: PoolError.self) { try pool.apply(double, 1) }
            #expect(throws: PoolError.self) { try pool.applyAsync(double, 1).get() }
            #expect(throws: PoolError.self) { try pool.map([1], double) }
            #expect(throws: PoolError.self) { try pool.mapAsync([1], double).get() }
            #expect(throws: PoolError.self) { try pool.imap([1], double).map { try $0.get() } }
            pool.close()
            try pool.join()
            try pool.join()
            #expect(throws: PoolError.self) { try pool.apply(double, 1) }
        }

        @Test func openPoolIsNotJoined() throws {
            let pool = try Pool(processes: 1)
            #expect(throws: UsageError.self) { try pool.join() }
            try #expect(pool.apply(double, 2) == 4)
            pool.terminate()
        }

        @Test(arguments: StartMethod.all) func terminatedPoolEndsEveryFuture(method: StartMethod) throws {
            let begun = try SharedValue<Int>(0)
            let pool = try Pool(processes: 2, configuration: .init(method))
            let done = pool.applyAsync(double, 4)
            try #expect(done.get() == 8)
            let running = pool.applyAsync(beginAndStay, begun)
            #expect(eventually { begun.value == 1 })
            let alsoRunning = pool.applyAsync(beginAndStay, begun)
            #expect(eventually { begun.value == 2 })
            let waiting = (0..<10).map { pool.applyAsync(double, $0) }
            pool.terminate()
            #expect(throws: (any Error).self) { try running.get() }
            #expect(throws: (any Error).self) { try alsoRunning.get() }
            for future in waiting { #expect(throws: (any Error).self) { try future.get() } }
            #expect(waiting.allSatisfy { $0.isCancelled })
            try pool.join()
            try #expect(done.get() == 8)
            #expect(throws: (any Error).self) { try pool.apply(double, 1) }
            pool.terminate()
        }

        @Test(arguments: StartMethod.all) func droppedPoolEndsEverything(method: StartMethod) throws {
            let begun = try SharedValue<Int>(0)
            let leaks = try leaks {
                func futures() throws -> [Future<Void>] {
                    let pool = try Pool(processes: 1, configuration: .init(method))
                    let running = pool.applyAsync(beginAndStay, begun)
                    #expect(eventually { begun.value > 0 })
                    return [running, pool.applyAsync(doNothing)]
                }
                for future in try futures() { #expect(throws: (any Error).self) { try future.get() } }
            }
            #expect(leaks.isEmpty)
        }

        @Test func bodyThatThrowsEndsThePool() throws {
            let begun = try SharedValue<Int>(0)
            let leaks = leaks {
                #expect(throws: Refusal.self) {
                    try withPool(processes: 1) { pool in
                        pool.applyAsync(beginAndStay, begun)
                        while begun.value == 0 { usleep(500) }
                        throw Refusal(reason: "enough")
                    }
                }
            }
            #expect(leaks.isEmpty)
        }

        @Test(arguments: StartMethod.all) func nothingIsLeft(method: StartMethod) throws {
            // What the first pool of a process makes, stays: the arena, the server, two threads.
            _ = try withPool(processes: 1, configuration: .init(method)) { try $0.apply(double, 1) }
            let leaks = try leaks {
                for _ in 0..<5 {
                    try withPool(processes: 2, configuration: .init(method)) { pool in
                        try #expect(pool.map(0..<100, double).count == 100)
                        #expect(throws: WorkerTerminated.self) { try pool.apply(die, .killed) }
                    }
                    let child = ChildProcess(double, 1, configuration: .init(method))
                    try child.start()
                    try child.join()
                }
            }
            #expect(leaks.isEmpty)
        }

        @Test func sizesThatMeanNothing() throws {
            for size in [0, -1, Int.min] {
                #expect(throws: UsageError.self) { try Pool(processes: size) }
                #expect(throws: UsageError.self) { try ProcessPoolExecutor(maxWorkers: size) }
            }
            #expect(throws: UsageError.self) { try Pool(processes: 1_000_000) }
            try withPool(processes: 1) { pool in
                for size in [0, -3] {
                    #expect(throws: UsageError.self) { try pool.map([1], chunkSize: size, double) }
                    #expect(throws: UsageError.self) { try pool.mapAsync([1], chunkSize: size, double).get() }
                    #expect(throws: UsageError.self) { try pool.imap([1], chunkSize: size, double).map { try $0.get() } }
                    #expect(throws: UsageError.self) { try pool.imapUnordered([1], chunkSize: size, double).map { try $0.get() } }
                    #expect(throws: UsageError.self) { try pool.imap([1], buffer: size, double).map { try $0.get() } }
                }
                try #expect(pool.map([1, 2, 3], chunkSize: 1_000_000, double) == [2, 4, 6])
            }
        }
    }
}
