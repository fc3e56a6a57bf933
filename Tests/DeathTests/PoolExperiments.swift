import Glibc
import Synchronization
import SystemLayer

@testable import Multiprocessing
@testable import SharedState
@testable import WorkerSupervision

/// A whole pool whose workers are killed again and again, wherever they happen to be.
enum PoolExperiments {
    private static let taskCount = 20_000
    private static let workerCount = 3

    /// What a task is called with: small, with a shared object.
    struct Job: Codable, Sendable {
        let done: SharedValue<UInt64>
        let number: Int
    }

    /// Some microseconds of work. The results do or do not fit into a slot.
    private static func work(_ job: Job) -> [Int] {
        var sum = 0
        for i in 0..<job.number % 1000 { sum &+= i }
        job.done.withLock { $0 += 1 }
        return Array(repeating: job.number &+ sum, count: job.number % 50)
    }

    private static func expected(_ number: Int) -> [Int] {
        let last = number % 1000
        return Array(repeating: number + last * (last - 1) / 2, count: number % 50)
    }

    /// Every task that dies with its worker is run again: all come to their results.
    static func retry() throws {
        try experiment("a pool that retries", .retry(attempts: 50)) { pool, done, taskCount, fire in
            let results = try pool.map((0..<taskCount).map { Job(done: done, number: $0) }, work)
            let kills = fire.cease()
            for (number, result) in results.enumerated() { try requireEqual(result, expected(number)) }
            try requireEqual(results.count, taskCount)
            // Each death repeats one task at most.
            let runs = Int(done.value)
            guard runs >= taskCount, runs <= taskCount + kills else {
                throw Laboratory.Failure(description: "\(runs) runs, with \(kills) kills")
            }
            return "\(runs - taskCount) tasks run twice"
        }
    }

    /// A death costs one task at most, and that task says so.
    static func fail() throws {
        try experiment("a pool that fails tasks", .failTask) { pool, done, taskCount, fire in
            let futures = (0..<taskCount).map { pool.applyAsync(work, Job(done: done, number: $0)) }
            var failures = 0
            for (number, future) in futures.enumerated() {
                do {
                    try requireEqual(try future.get(), expected(number))
                } catch let error as WorkerTerminated {
                    try requireEqual(error.status, .signaled(SIGKILL))
                    failures += 1
                }
            }
            let kills = fire.cease()
            guard failures <= kills else { throw Laboratory.Failure(description: "\(failures) tasks lost by \(kills) kills") }
            let runs = Int(done.value)
            guard runs >= taskCount - failures, runs <= taskCount else {
                throw Laboratory.Failure(description: "\(runs) runs, \(failures) failures")
            }
            return "\(failures) tasks lost"
        }
    }

    private static func experiment(
        _ name: String, _ policy: CrashPolicy, _ body: (Pool, SharedValue<UInt64>, _ tasks: Int, Fire) throws -> String
    ) throws {
        let arena = try Arena.current()
        var configuration = WorkerConfiguration()
        configuration.onWorkerDeath = policy
        func run(_ tasks: Int, isUnderFire: Bool) throws -> String {
            let done = try SharedValue<UInt64>(0)
            return try withPool(processes: workerCount, configuration: configuration) { pool in
                let fire = Fire()
                if isUnderFire { try fire.begin(at: pool.core) }
                let text = try body(pool, done, tasks, fire)
                return "\(tasks) tasks, \(fire.cease()) kills, \(text)"
            }
        }
        // The functions' descriptions stay for the process's life, so they are made first.
        _ = try run(1, isUnderFire: false)
        // Spare processes have blocks of their own, and come and go as they see fit.
        try ProcessMonitor.shared().dismissSpares()
        let descriptions = functionCount
        try waitUntil("only the functions are left") { Census(arena).blocks.count == descriptions }
        let census = Census(arena)
        let began = monotonicNow()
        let text = try run(taskCount, isUnderFire: true)
        try ProcessMonitor.shared().dismissSpares()
        // A pool's own block goes with its supervisor's thread, a moment after the pool's end.
        try? waitUntil("all is as before") { Census(arena) == census }
        try census.requireUnchanged(in: arena)
        let seconds = Double((monotonicNow() - began) / 10_000_000) / 100
        print("\(Laboratory.reportPrefix)\(name): \(text), \(seconds) s")
    }

    /// Each experiment has one call in its text.
    private static let functionCount = 1

    private static func waitUntil(_ what: String, _ condition: () -> Bool) throws {
        let deadline = Deadline(after: .seconds(60))
        while !condition() {
            if deadline.hasPassed { throw Laboratory.Failure(description: "not within a minute: \(what)") }
            sched_yield()
        }
    }
}

/// A thread that kills a pool's workers, one after the other.
private final class Fire: Sendable {
    private let state = Atomic<Int>(2)  // 0: firing, 1: to cease, 2: ceased
    private let kills = Atomic<Int>(0)

    func begin(at pool: WorkerPool) throws {
        state.store(0, ordering: .releasing)
        try startThread(name: "fire") { [self] in
            var random = SystemRandomNumberGenerator()
            while state.load(ordering: .acquiring) == 0 {
                if Self.killOne(of: pool, using: &random) { kills.wrappingAdd(1, ordering: .relaxed) }
                // A pace that leaves the workers some time to work.
                poll(nil, 0, Int32.random(in: 1...4, using: &random))
            }
            state.store(2, ordering: .releasing)
        }
    }

    /// Only workers that are ready: a worker that does not even start, five times in a row, is another matter.
    private static func killOne(of pool: WorkerPool, using random: inout SystemRandomNumberGenerator) -> Bool {
        pool.lock.withLock {
            let ready = pool.workers.indices.filter {
                pool.workers[$0].descriptor?.waitForEnd(milliseconds: 0) == false
                    && pool.block.phase($0).pointee.load(ordering: .acquiring) == 1
            }
            guard let index = ready.randomElement(using: &random) else { return false }
            pool.workers[index].descriptor?.send(signal: SIGKILL)
            return true
        }
    }

    /// Returns how many were killed.
    func cease() -> Int {
        _ = state.compareExchange(expected: 0, desired: 1, ordering: .acquiringAndReleasing)
        while state.load(ordering: .acquiring) != 2 { sched_yield() }
        return kills.load(ordering: .relaxed)
    }
}
