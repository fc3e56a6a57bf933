import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// What pools do as long as nothing goes wrong.
    @Suite struct PoolTests {
        @Test(arguments: StartMethod.all) func everyKindOfCall(method: StartMethod) throws {
            try withPool(processes: 2, configuration: .init(method)) { pool in
                try #expect(pool.apply(add, 1, 2) == 3)
                try #expect(pool.apply(20) { (n: Int) in n + 1 } == 21)
                try pool.apply(doNothing)
                try #expect(pool.applyAsync(greet, "Jeff", 1).get() == "Hello Jeff")
                try pool.applyAsync(doNothing).get()
                try #expect(pool.map(0..<100, double) == (0..<100).map { 2 * $0 })
                try pool.map(0..<10) { (_: Int) in doNothing() }
                try #expect(pool.mapAsync([3, 4], double).get() == [6, 8])
                try pool.mapAsync([3, 4]) { (_: Int) in doNothing() }.get()
                try #expect(pool.imap(0..<5, double).map { try $0.get() } == [0, 2, 4, 6, 8])
                try #expect(Set(pool.imapUnordered(0..<5, double).map { try $0.get() }) == [0, 2, 4, 6, 8])
            }
        }

        @Test(arguments: StartMethod.all) func asynchronousForm(method: StartMethod) async throws {
            let sum = try await withPool(processes: 2, configuration: .init(method)) { pool in
                var sum = 0
                for try await n in pool.imap(1...10, double) { sum += n }
                return try await sum + pool.applyAsync(double, 1).value
            }
            #expect(sum == 112)
        }

        @Test func workersAreProcessesThatStay() throws {
            try withPool(processes: 2) { pool in
                let pids = Set(try pool.map(0..<200) { _ in getpid() })
                #expect(pids.count <= 2)
                #expect(!pids.contains(getpid()))
                #expect(pids.contains(try pool.apply(processIdentifier)) || pids.count == 1)
            }
        }

        @Test func defaultSizeIsWhatMayBeUsed() throws {
            let pool = try Pool()
            defer { pool.terminate() }
            _ = try pool.apply(doNothing)
        }

        // MARK: map

        @Test func emptyMaps() throws {
            try withPool(processes: 1) { pool in
                try #expect(pool.map([], double) == [])
                try #expect(pool.mapAsync([], double).get() == [])
                #expect(pool.imap([], double).map { $0 }.isEmpty)
                #expect(pool.imapUnordered([], double).map { $0 }.isEmpty)
            }
        }

        @Test func largeMapKeepsOrder() throws {
            try withPool(processes: 2) { pool in
                try #expect(pool.map(0..<20_000, double) == (0..<20_000).map { 2 * $0 })
                try #expect(pool.map(0..<3_000, chunkSize: 100, double) == (0..<3_000).map { 2 * $0 })
            }
        }

        @Test func mapThrowsTheFirstErrorInInputOrder() throws {
            try withPool(processes: 2) { pool in
                #expect(throws: Refusal(reason: "odd", code: 3)) { try pool.map([2, 3, 4, 5], refuseOdd) }
                #expect(throws: Refusal(reason: "odd", code: 5)) { try pool.mapAsync([2, 5, 3], refuseOdd).get() }
                // Each result of a lazy map is its own.
                let codes = pool.imap([1, 2, 3], refuseOdd).map { result in
                    switch result {
                    case .success(let n): n
                    case .failure(let error): -((error as? Refusal)?.code ?? 0)
                    }
                }
                #expect(codes == [-1, 2, -3])
            }
        }

        @Test func lazyMapTakesInputsNoFasterThanTheyAreUsed() throws {
            try withPool(processes: 2) { pool in
                let pulled = Counter()
                let endless = sequence(first: 0) { n in
                    pulled.add(1)
                    return n + 1
                }
                var results = pool.imap(endless, buffer: 10, double).makeIterator()
                for i in 0..<50 { try #expect(results.next()?.get() == 2 * i) }
                #expect(pulled.value <= 61)
            }
        }

        @Test func leavingALazyMapDropsWhatHasNotStarted() throws {
            try withPool(processes: 1) { pool in
                let (begun, release) = (try SharedValue<Int>(0), try SharedValue<Int>(0))
                // The second holds the worker up until the loop has been left.
                let jobs = (0..<500).map { Job(waits: $0 > 0, release: release, begun: begun) }
                for result in pool.imap(jobs, { $0.run() }) {
                    try #expect(result.get() == false)
                    break
                }
                release.value = 1
                try pool.apply(doNothing)
                #expect(begun.value <= 2)
            }
        }

        @Test func unorderedMapGivesWhatIsThere() throws {
            try withPool(processes: 2) { pool in
                let release = try SharedValue<Int>(0)
                let jobs = (0..<6).map { Job(waits: $0 == 0, release: release) }
                var results = pool.imapUnordered(jobs) { $0.run() }.makeIterator()
                for _ in 0..<5 { try #expect(results.next()?.get() == false) }
                release.value = 1
                try #expect(results.next()?.get() == true)
                #expect(results.next() == nil)
            }
        }

        // MARK: Large and many

        @Test(arguments: StartMethod.all) func largeArgumentsAndResults(method: StartMethod) throws {
            try withPool(processes: 1, configuration: .init(method)) { pool in
                let bytes = [UInt8](repeating: 0xa5, count: 64 << 20)
                try #expect(pool.apply({ $0.count }, bytes) == bytes.count)
                try #expect(pool.apply { [UInt8](repeating: 0x5a, count: 64 << 20) } == [UInt8](repeating: 0x5a, count: 64 << 20))
                try #expect(pool.apply({ $0 }, bytes) == bytes)
            }
        }

        @Test func hundredThousandSubmittedBeforeOneIsAskedFor() throws {
            try withPool(processes: 2) { pool in
                let futures = (0..<100_000).map { pool.applyAsync(double, $0) }
                var sum = 0
                for future in futures { sum += try future.get() }
                #expect(sum == 99_999 * 100_000)
            }
        }

        @Test func manyThreadsSubmitAtOnce() async throws {
            let pool = try Pool(processes: 2)
            let sums = Counter()
            onThreads(32) { thread in
                for i in 0..<200 { sums.add((try? pool.apply(double, thread * 1000 + i)) ?? -1_000_000) }
            }
            #expect(sums.value == (0..<32).reduce(0) { sum, t in sum + (0..<200).reduce(0) { $0 + 2 * (t * 1000 + $1) } })
            pool.close()
            try pool.join()
        }

        // MARK: Nested

        @Test(arguments: StartMethod.all) func poolsThreeDeep(method: StartMethod) throws {
            let counter = try SharedValue<Int>(0)
            try withPool(processes: 1, configuration: .init(method)) { pool in
                try #expect(pool.apply(countDeeper, counter, 2) == 4)
            }
            #expect(counter.value == 4)
        }
    }
}

/// Has two deeper pools do the same, `depth` times, and counts at the bottom. Returns how many have counted.
@Sendable private func countDeeper(_ counter: SharedValue<Int>, _ depth: Int) throws -> Int {
    if depth == 0 {
        return counter.withLock {
            $0 += 1
            return 1
        }
    }
    return try withPool(processes: 1) { pool in
        try pool.map([Step(counter: counter, depth: depth), Step(counter: counter, depth: depth)]) {
            try countDeeper($0.counter, $0.depth - 1)
        }.reduce(0, +)
    }
}

private struct Step: Codable, Sendable {
    let counter: SharedValue<Int>
    let depth: Int
}

private struct Job: Codable, Sendable {
    let waits: Bool
    let release: SharedValue<Int>
    var begun: SharedValue<Int>?

    func run() -> Bool {
        begun?.withLock { $0 += 1 }
        while waits, release.value == 0 { usleep(500) }
        return waits
    }
}
