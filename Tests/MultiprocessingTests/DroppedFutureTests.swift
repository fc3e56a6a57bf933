import Glibc
import Multiprocessing
import SharedState
import TestSupport
import Testing

extension PublicInterface {
    /// Nobody keeps a future for its pool's sake: it goes when it is dropped, whatever is being done with its task at that moment.
    @Suite(.watchdog(seconds: 120)) struct DroppedFutureTests {
        @Test func itGoesBeforeItsTaskEnds() throws {
            try withPool(processes: 1) { pool in
                let (begun, release) = (try SharedValue<Int>(0), try SharedValue<Int>(0))
                var running: Future<Int>? = pool.applyAsync(beginAndWait, begun, release)
                var waiting: Future<Int>? = pool.applyAsync(double, 1)
                #expect(eventually { begun.value == 1 })
                weak let (first, second) = (running, waiting)
                (running, waiting) = (nil, nil)
                #expect(first == nil && second == nil)
                release.value = 1
                try #expect(pool.apply(double, 2) == 4, "and the pool goes on")
            }
        }

        @Test func callbackKeepsItTillItsEnd() throws {
            try withPool(processes: 1) { pool in
                let release = try SharedValue<Int>(0)
                let sum = Counter()
                var future: Future<Int>? = pool.applyAsync(beginAndWait, try SharedValue<Int>(0), release)
                future?.whenDone { sum.add((try? $0.get()) ?? -1) }
                weak let known = future
                future = nil
                #expect(known != nil)
                release.value = 7
                #expect(eventually { sum.value == 7 && known == nil })
            }
        }

        @Test func resultsNobodyAsksForAreFreed() throws {
            let arena = try Arena.current()
            try withPool(processes: 2) { pool in
                func work(_ count: Int) { for i in 0..<count { pool.applyAsync(pass, Array(repeating: i, count: 1000)) } }
                func blocks() -> Int { arena.blocksInUse - ProcessEntry.descendants().count { $0.isSpare } }
                // The description of a function stays in the arena from its first call on.
                work(1)
                try #expect(pool.map(0..<100, double).count == 100)
                _ = eventually { ProcessEntry.descendants().count { $0.isSpare } <= 1 }
                let before = blocks()
                // Each has a block for its argument, and one for its result.
                work(500)
                #expect(eventually { blocks() <= before }, "\(blocks()) blocks, \(before) before")
            }
        }

        /// Futures of all fates, dropped at all moments: by several threads, which also take out each other's results when slots run out.
        @Test func droppedAtAnyMoment() throws {
            try withPool(processes: 2) { pool in
                let wrong = Counter()
                onThreads(4) { thread in
                    var kept: [Future<Int>] = []
                    for i in 0..<8000 {
                        let future = pool.applyAsync(double, i)
                        switch (i + thread) % 8 {
                        case 0: kept.append(future)
                        case 1: _ = future.isDone
                        // Not often: it kills a worker if it comes at the right moment.
                        case 2: if i % 64 < 8 { future.cancel() }
                        case 3: if (try? future.get()) != 2 * i { wrong.add(1) }
                        case 4: future.whenDone { if (try? $0.get()) != 2 * i { wrong.add(1) } }
                        default: break
                        }
                    }
                    for future in kept where (try? future.get()).map({ $0 % 2 }) != 0 { wrong.add(1) }
                }
                #expect(wrong.value == 0)
            }
        }

        /// Tasks that are given up by the pool itself, while their futures go.
        @Test func droppedWhileGivenUp() throws {
            for round in 0..<20 {
                let pool = try Pool(processes: 2)
                let begun = try SharedValue<Int>(0)
                let held = Held((0..<10).map { _ in pool.applyAsync(beginAndStay, begun) })
                #expect(eventually { begun.value >= 1 })
                onThreads(2) { thread in
                    if thread == 0 { pool.terminate() } else if round % 2 == 0 { held.futures = [] }
                }
                try pool.join()
                for future in held.futures { #expect(throws: (any Error).self) { try future.get() } }
            }
        }
    }
}

/// Futures that one thread lets go.
private final class Held: @unchecked Sendable {
    // Unchecked: one thread at a time uses it.
    var futures: [Future<Void>]
    init(_ futures: [Future<Void>]) { self.futures = futures }
}
