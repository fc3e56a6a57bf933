import Glibc
import Multiprocessing

// How a host ends, and what has to end with it.

@Sendable nonisolated func sleepForEver() { while true { pause() } }
@Sendable nonisolated func spinForEver() { while true { _ = getpid() } }

/// A nested host: its own worker sleeps, and says that it runs by a counter that all share.
@Sendable nonisolated func hostAnother(_ running: SharedValue<Int>) throws {
    let pool = try Pool(processes: 1)
    pool.applyAsync(sleepAndCount, running)
    sleepAndCount(running)
}

@Sendable nonisolated func sleepAndCount(_ running: SharedValue<Int>) {
    running.withLock { $0 += 1 }
    sleepForEver()
}

/// Has workers of every kind: busy, idle, nested, of each start method; then stays, or ends as the argument says.
@Sendable func hostsOfEverything(_ arguments: [String]) async throws {
    let running = try SharedValue<Int>(0)
    var pools: [Pool] = []
    for method in [StartMethod.forkServer, .fork, .spawn] {
        var configuration = WorkerConfiguration()
        configuration.startMethod = method
        let pool = try Pool(processes: 2, configuration: configuration)
        pool.applyAsync(sleepAndCount, running)
        pools.append(pool)
        try ChildProcess(sleepAndCount, running, configuration: configuration).start()
    }
    pools[0].applyAsync(hostAnother, running)
    while running.value < 8 { usleep(1000) }
    try withExtendedLifetime(pools) {
        switch arguments.first {
        case "trap":
            say("ready")
            fatalError("as the test wants it")
        case "exit":
            say("ready")
            exit(3)
        case "return":
            say("ready")
        case "throw":
            say("ready")
            throw Failure()
        default: stay()
        }
    }
}

struct Failure: Error {}

/// Leaves main with a pool open, its workers idle and a task of its waiting: ends at once.
@Sendable func openPool(_: [String]) async throws {
    let pool = try Pool(processes: 1)
    _ = try pool.apply { 1 }
    pool.applyAsync(sleepForEver)
    let never = pool.applyAsync { print("this must not run") }
    say("ready")
    withExtendedLifetime((pool, never)) { exit(0) }
}

@Sendable func droppedPool(_: [String]) async throws {
    func futures() throws -> [Future<Void>] {
        let pool = try Pool(processes: 1)
        return [pool.applyAsync(sleepForEver), pool.applyAsync { print("this must not run") }]
    }
    for future in try futures() {
        do { try future.get() } catch { print(type(of: error)) }
    }
}

/// `shutdown(wait: false)`: ten tasks are left to be done when main ends, the executor's last reference gone.
@Sendable func workLeft(_: [String]) async throws {
    let executor = try ProcessPoolExecutor(maxWorkers: 2)
    for i in 0..<10 {
        executor.submit(i) { (i: Int) in
            usleep(20_000)
            print("done \(i)")
        }
    }
    executor.shutdown(wait: false)
    print("main ends")
}

@Sendable func prints(_: [String]) async throws {
    say("first")
    try withPool(processes: 1) { pool in
        try pool.apply { print("second") }
        say("third")
    }
}
