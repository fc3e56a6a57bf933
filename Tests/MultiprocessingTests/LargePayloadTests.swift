import Glibc
import Multiprocessing
import SharedState
import TestSupport
import Testing

/// `count` elements of which some, and the last, tell where in the array they stand: all of them where there are few.
@Sendable private func pattern(_ count: Int, _ seed: UInt8) -> [UInt64] {
    [UInt64](unsafeUninitializedCapacity: count) { room, initialized in
        // Not a loop: a debug build takes a minute for the gibibytes of one.
        if let start = room.baseAddress { memset(start, Int32(seed), count * 8) }
        for i in marks(count) { room[i] = mark(i, seed) }
        initialized = count
    }
}

private func mark(_ i: Int, _ seed: UInt8) -> UInt64 { UInt64(truncatingIfNeeded: i) &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(seed) }

private func marks(_ count: Int) -> [Int] {
    count == 0 ? [] : Array(stride(from: 0, to: count, by: max(1, count / 50_000))) + [count - 1]
}

/// Whether `elements` are ``pattern(_:_:)``.
private func isPattern(_ elements: Span<UInt64>, _ count: Int, _ seed: UInt8) -> Bool {
    elements.count == count && marks(count).allSatisfy { elements[$0] == mark($0, seed) }
        && (count < 200_000 || elements[1] == UInt64(seed) &* 0x0101_0101_0101_0101)
}
private func isPattern(_ elements: [UInt64], _ count: Int, _ seed: UInt8) -> Bool { isPattern(elements.span, count, seed) }

extension PublicInterface {
    /// Arguments and results of any size.
    @Suite struct LargePayloadTests {
        // 64 MiB, and what lies on both sides of where copying changes its ways.
        static let sizes = [0, 1, 11, 12, 127, 128, 4095, 8192, (32 << 17) - 1, 32 << 17, (32 << 17) + 1, 64 << 17]

        @Test(arguments: StartMethod.all) func thereAndBack(method: StartMethod) throws {
            try withPool(processes: 1, configuration: .init(method)) { pool in
                for count in Self.sizes {
                    let result = try pool.apply(pattern, count, 5)
                    // Apart from the expectation, which would print all elements of what fails it.
                    let isRight = isPattern(result, count, 5)
                    #expect(isRight, "\(count) elements as a result")
                    let arrivesRight = try pool.apply({ isPattern($0, $1, 5) }, result, count)
                    #expect(arrivesRight, "\(count) elements as an argument")
                }
            }
        }

        @Test(arguments: StartMethod.all) func inPlace(method: StartMethod) throws {
            try withPool(processes: 1, configuration: .init(method)) { pool in
                for count in Self.sizes {
                    let future = pool.applyAsync(pattern, count, 6)
                    try #expect(future.withSpan { isPattern($0, count, 6) }, "\(count) elements in place")
                    let isCopiedRight = try isPattern(future.get(), count, 6)
                    #expect(isCopiedRight, "and copied out afterwards")
                    try #expect(future.withSpan(timeout: .seconds(100)) { isPattern($0, count, 6) }, "and in place again")
                }
            }
        }

        @Test func inPlaceMeansWithoutACopy() throws {
            let arena = try Arena.current()
            try withPool(processes: 1) { pool in
                func isShared<T>(_ elements: Span<T>) -> Bool {
                    elements.withUnsafeBufferPointer { elements in
                        let offset = UnsafeRawPointer(elements.baseAddress).map { $0 - UnsafeRawPointer(arena.base) } ?? -1
                        return offset >= 0 && offset < arena.length
                    }
                }
                try #expect(pool.applyAsync(pattern, 1000, 1).withSpan(isShared))
                try #expect(pool.applyAsync { [SIMD16<Float>](repeating: .one, count: 1000) }.withSpan(isShared), "also the most aligned")
                try #expect(!pool.applyAsync { [Bool](repeating: true, count: 5000) }.withSpan(isShared), "what is checked is copied")
                let sum = pool.applyAsync { [Bool](repeating: true, count: 5000) }
                try #expect(sum.withSpan { elements in elements.indices.count { elements[$0] } } == 5000)
            }
        }

        @Test func spansOfOtherFutures() throws {
            try withPool(processes: 2) { pool in
                try #expect(pool.mapAsync(0..<100, double).withSpan { $0[99] } == 198, "a result that the host has put together")
                let failed = pool.applyAsync { () -> [Int] in throw Refusal(reason: "no") }
                #expect(throws: Refusal.self) { try failed.withSpan { $0.count } }
                let dead = pool.applyAsync { () -> [Int] in
                    _ = die(.killed)
                    return []
                }
                #expect(throws: WorkerTerminated.self) { try dead.withSpan { $0.count } }
                let (begun, release) = (try SharedValue(0), try SharedValue(0))
                let slow = pool.applyAsync({ [beginAndWait($0, $1)] }, begun, release)
                #expect(throws: TaskTimeout.self) { try slow.withSpan(timeout: .milliseconds(10)) { $0.count } }
                release.value = 3
                try #expect(slow.withSpan { $0[0] } == 3)
                // What the body throws comes through, and does no harm.
                let future = pool.applyAsync(pattern, 1000, 2)
                #expect(throws: Refusal.self) { try future.withSpan { _ in throw Refusal(reason: "from the body") } }
                try #expect(future.withSpan { $0.count } == 1000)
                // A result that is nil is one, too.
                try #expect(future.withSpan { elements in elements.count == 0 ? 1 : nil } == nil)
            }
        }

        @Test func spansAreAwaited() async throws {
            try await withPool(processes: 1) { pool in
                let future = pool.applyAsync(pattern, 100_000, 3)
                let isRight = try await future.withSpan { isPattern($0, 100_000, 3) }
                #expect(isRight)
                let failed = pool.applyAsync { () -> [Int] in throw Refusal(reason: "no") }
                await #expect(throws: Refusal.self) { try await failed.withSpan { $0.count } }
            }
        }

        @Test func borrowedMemoryIsTheFutures() throws {
            let arena = try Arena.current()
            try withPool(processes: 1) { pool in
                func work() throws {
                    let futures = (0..<5).map { pool.applyAsync(pattern, 100_000, UInt8($0)) }
                    for (i, future) in futures.enumerated() { try #expect(future.withSpan { isPattern($0, 100_000, UInt8(i)) }) }
                }
                // The description of a function stays in the arena from its first call on.
                try work()
                let before = arena.blocksInUse
                for _ in 0..<20 { try work() }
                #expect(eventually { arena.blocksInUse <= before }, "\(arena.blocksInUse) blocks, \(before) before")
            }
        }

        @Test func pagesAreUsedAgain() throws {
            let arena = try Arena.current()
            try withPool(processes: 1) { pool in
                func place() throws -> Int {
                    try pool.applyAsync(pattern, 1 << 20, 1).withSpan { elements in
                        // The block, which begins at a multiple of 64 KiB: where in it the elements begin depends on where they came from.
                        elements.withUnsafeBufferPointer {
                            UnsafeRawPointer($0.baseAddress).map { ($0 - UnsafeRawPointer(arena.base)) / (64 << 10) } ?? 0
                        }
                    }
                }
                let first = try place()
                for _ in 0..<10 {
                    // Also when others of other sizes come and go.
                    _ = try pool.apply(pattern, 1 << 14, 2)
                    #expect(try place() == first)
                }
            }
        }

        private struct Report: Codable, Sendable {
            var name: String
            var first: [UInt64]
            var second: [UInt64]
            var notes: [String]
        }

        @Test func largePartsOfOtherValues() throws {
            try withPool(processes: 1) { pool in
                let report = try pool.apply(
                    { (count: Int) in
                        Report(
                            name: "both", first: pattern(count, 1), second: pattern(2 * count, 2),
                            notes: Array(repeating: "many small ones", count: 20_000))
                    }, 300_000)
                let areRight = isPattern(report.first, 300_000, 1) && isPattern(report.second, 600_000, 2)
                #expect(areRight)
                #expect(report.name == "both" && report.notes.count == 20_000 && report.notes.allSatisfy { $0 == "many small ones" })
            }
        }

        @Test func tooMuchIsAnError() throws {
            let arena = try Arena.current()
            try withPool(processes: 1) { pool in
                func ask(_ count: Int) throws -> Int { try pool.apply({ try SharedArray<UInt8>(repeating: 0, count: $0).count }, count) }
                try #expect(ask(1) == 1)
                let before = arena.blocksInUse
                let error = try errorThrown(SharedMemoryError.self) { try ask(1 << 46) }
                #expect(error.description.contains("full"))
                // Spare processes, of which there are more just after a start, have blocks too.
                #expect(eventually { arena.blocksInUse <= before })
                try #expect(ask(2) == 2, "and the worker goes on")
            }
        }

        /// Sizes at which 32-bit numbers end. Needs some 8 GiB of free memory, and a minute.
        @Test(.enabled(if: getenv("MP_EXTENDED") != nil, "takes gibibytes")) func twoGibibytesThereAndBack() throws {
            let count = (2 << 27) + 3
            // In the arena; as an array here; as one in the worker.
            try requireMemory(3 * count * 8)
            try withPool(processes: 1) { pool in
                let array = try pool.apply(pattern, count, 9)
                let isRight = isPattern(array, count, 9)
                #expect(isRight)
                let arrivesRight = try pool.apply({ isPattern($0, $1, 9) }, array, count)
                #expect(arrivesRight)
            }
        }

        @Test(.enabled(if: getenv("MP_EXTENDED") != nil, "takes gibibytes")) func fourGibibytesInPlace() throws {
            let count = (4 << 27) + 3
            try requireMemory(2 * count * 8)
            try withPool(processes: 1) { pool in
                try #expect(pool.applyAsync(pattern, count, 8).withSpan { isPattern($0, count, 8) })
                let shared = try SharedArray<UInt64>(repeating: 1, count: count)
                try pool.apply({ (shared: SharedArray<UInt64>) in shared[shared.count - 1] = 77 }, shared)
                #expect(shared[count - 1] == 77 && shared[count - 2] == 1)
            }
        }

        private func requireMemory(_ bytes: Int) throws {
            let free = Int(sysconf(Int32(_SC_AVPHYS_PAGES))) * Int(sysconf(Int32(_SC_PAGESIZE)))
            try #require(free > bytes + (1 << 30), "\(free >> 20) MiB are free; this test takes \(bytes >> 20)")
        }
    }
}
