import Glibc
import Multiprocessing
import SharedState
import TestSupport
import Testing

extension PublicInterface {
    /// Shared values between processes.
    @Suite struct SharedValueTests {
        /// 64 KiB, all parts of which are to be equal: copied slowly enough to be caught half done.
        private struct Wide: BitwiseCopyable, Sendable {
            var parts: InlineArray<8192, Int64>

            static func all(_ n: Int64) -> Wide { Wide(parts: .init(repeating: n)) }
            func isAll(_ n: Int64) -> Bool { parts[0] == n && isWhole }
            var isWhole: Bool { stride(from: 63, to: 8192, by: 512).allSatisfy { parts[$0] == parts[0] } && parts[8191] == parts[0] }
        }

        private struct Odd: BitwiseCopyable, Sendable, Equatable {
            var a: UInt8
            var b: UInt16
        }

        /// Has a worker read `value`, and change it to `other`.
        private func passRound<T: BitwiseCopyable & Sendable & Equatable & Codable>(_ pool: Pool, _ value: T, _ other: T) throws {
            let shared = try SharedValue(value)
            #expect(shared.value == value)
            #expect(
                try pool.apply(
                    {
                        let old = $0.value
                        $0.value = $1
                        return old
                    }, shared, other) == value)
            #expect(shared.value == other)
        }

        @Test(arguments: StartMethod.all) func allSizes(method: StartMethod) throws {
            try withPool(processes: 1, configuration: .init(method)) { pool in
                try passRound(pool, true, false)
                try passRound(pool, UInt8(1), 255)
                try passRound(pool, Int16(-1), 300)
                try passRound(pool, Int32.min, .max)
                try passRound(pool, 1.5, -.infinity)
                try passRound(pool, UInt64.max, 0)
                try passRound(pool, SIMD3<Float>(1, 2, 3), .zero)
                try passRound(pool, SIMD64<UInt64>(repeating: 7), .init(repeating: 9))
                let odd = try SharedValue(Odd(a: 1, b: 2))
                try pool.apply({ $0.value.b = 500 }, odd)
                #expect(odd.value == Odd(a: 1, b: 500))
            }
        }

        @Test(arguments: StartMethod.all) func countsAreExact(method: StartMethod) throws {
            let counter = try SharedValue<Int>(0)
            let children = (0..<4).map { _ in
                ChildProcess(counter, configuration: .init(method)) { (counter: SharedValue<Int>) in
                    for _ in 0..<20_000 { counter.withLock { $0 += 1 } }
                }
            }
            for child in children { try child.start() }
            for _ in 0..<20_000 { counter.withLock { $0 += 1 } }
            for child in children { try child.result() }
            #expect(counter.value == 100_000)
        }

        @Test func readsAreNeverTorn() throws {
            let shared = try SharedValue(Wide.all(0))
            let enough = try SharedValue(false)
            let writers = (1...3).map { i in
                ChildProcess(shared, enough, Int64(i)) { (shared: SharedValue<Wide>, enough: SharedValue<Bool>, i: Int64) in
                    let (even, odd) = (Wide.all(i), Wide.all(-i))
                    while !enough.value { (shared.value, shared.value) = (even, odd) }
                }
            }
            for writer in writers { try writer.start() }
            while shared.value.isAll(0) {}
            #expect((0..<5_000).count { _ in !shared.value.isWhole } == 0)
            enough.value = true
            for writer in writers { try writer.result() }
            #expect(shared.value.isWhole)
        }

        @Test func throwingBodyKeepsTheOldValue() throws {
            let shared = try SharedValue(5)
            #expect(throws: Refusal.self) {
                try shared.withLock { value in
                    value = 6
                    throw Refusal(reason: "no")
                }
            }
            #expect(shared.value == 5)
            #expect(shared.withLock { $0 } == 5, "the lock is free")
            #expect(
                shared.withLock { value in
                    value += 1
                    return "result"
                } == "result")
        }

        @Test(arguments: StartMethod.all, [Death.killed, .exit0, .trap]) func deathInsideTheLock(method: StartMethod, how: Death) throws {
            let shared = try SharedValue(Wide.all(1))
            let inside = try SharedValue<Int>(0)
            let child = ChildProcess(shared, inside, how, configuration: .init(method)) {
                (shared: SharedValue<Wide>, inside: SharedValue<Int>, how: Death) in
                shared.withLock { value in
                    value = .all(2)
                    inside.value = 1
                    how.happen()
                }
            }
            try child.start()
            #expect(eventually { inside.value == 1 })
            // Waits for a lock whose owner is about to die, or has.
            shared.withLock { value in
                #expect(value.isAll(1))
                value = .all(3)
            }
            try child.join()
            #expect(shared.value.isAll(3))
        }

        // MARK: Handles on their way

        private struct Bundle: Codable, Sendable {
            var one: SharedValue<Int>
            var many: [SharedValue<Int>]
            var maybe: SharedValue<Int>?
            var named: [String: SharedValue<Int>]
        }

        @Test(arguments: StartMethod.all) func handlesInsideOtherThings(method: StartMethod) throws {
            let values = try (0..<5).map { try SharedValue<Int>($0) }
            let bundle = Bundle(one: values[0], many: [values[1], values[2]], maybe: values[3], named: ["five": values[4]])
            try withPool(processes: 1, configuration: .init(method)) { pool in
                let back = try pool.apply(
                    { (bundle: Bundle) in
                        let maybe = bundle.maybe.map { [$0] } ?? []
                        for value in [bundle.one] + bundle.many + maybe + bundle.named.values { value.value += 10 }
                        return bundle
                    }, bundle)
                #expect(values.map(\.value) == [10, 11, 12, 13, 14])
                back.many[1].value = -1
                back.named["five"]?.value = -2
                #expect(values[2].value == -1 && values[4].value == -2)
                var without = bundle
                without.maybe = nil
                try #expect(pool.apply({ (bundle: Bundle) in bundle.maybe == nil }, without))
            }
        }

        @Test(arguments: StartMethod.all) func madeInAWorker(method: StartMethod) throws {
            let pool = try Pool(processes: 1, configuration: .init(method))
            let made = try pool.apply { try SharedValue<Int>(77) }
            let others = try pool.map(0..<50) { try SharedValue<Int>($0) }
            #expect(made.value == 77)
            try pool.apply({ $0.value += 1 }, made)
            #expect(made.value == 78)
            // And it outlives its maker, and its maker's pool.
            #expect(throws: WorkerTerminated.self) { try pool.apply(die, .killed) }
            try #expect(pool.apply({ $0.value }, made) == 78)
            pool.terminate()
            try pool.join()
            #expect(made.value == 78)
            #expect(others.map(\.value) == Array(0..<50))
        }

        @Test func typeOfAHandleIsChecked() throws {
            try withPool(processes: 1) { pool in
                // A handle to four bytes, taken for one to eight.
                let error = try errorThrown(TransferError.self) {
                    try pool.apply(
                        { (_: Disguise<SharedValue<Int32>, SharedValue<Int64>>) in },
                        Disguise(SharedValue<Int32>(1), as: SharedValue<Int64>.self))
                }
                guard case .cannotDecode = error else { throw error }
            }
        }

        @Test(arguments: StartMethod.all) func objectsGoWithTheirLastHandle(method: StartMethod) throws {
            let arena = try Arena.current()
            let before = arena.objectsInUse
            try withPool(processes: 2, configuration: .init(method)) { pool in
                for _ in 0..<20 {
                    let values = try pool.map(0..<10) { try SharedValue<Int>($0) }
                    #expect(try pool.map(values) { $0.value } == Array(0..<10))
                    // Nobody asks for this one's result.
                    pool.applyAsync { try SharedValue<Int>(1) }
                    _ = try? pool.apply({ (_: SharedValue<Int>) in die(.killed) }, values[0])
                }
                #expect(throws: Refusal.self) { try pool.apply({ (_: SharedValue<Int>) in try refuse("no") }, SharedValue<Int>(1)) }
                // A worker that is a copy of its host has copies of the host's handles for as long as it lives.
                if method == .fork { return }
                // The others let go of what they have sent when they come to their next task.
                #expect(
                    eventually {
                        _ = try? pool.map(0..<4, double)
                        return arena.objectsInUse <= before
                    }, "\(arena.objectsInUse) objects, \(before) before")
            }
            #expect(eventually { arena.objectsInUse <= before }, "\(arena.objectsInUse) objects, \(before) before")
        }

        @Test(arguments: StartMethod.all) func memoryGoesWithItsPool(method: StartMethod) throws {
            let arena = try Arena.current()
            func work() throws {
                try withPool(processes: 2, configuration: .init(method)) { pool in
                    _ = try pool.map(0..<50) { [UInt8](repeating: 1, count: 10_000 + $0) }
                    _ = try? pool.apply({ (_: [UInt8]) in die(.killed) }, [UInt8](repeating: 1, count: 100_000))
                    pool.applyAsync { [UInt8](repeating: 2, count: 100_000) }
                }
                let child = ChildProcess([1, 2, 3], configuration: .init(method)) { (n: [Int]) in n.count }
                try child.start()
                _ = try child.result()
            }
            /// A spare process has one block, which is there before it, and goes after it. Counted while none comes or goes, or there would seem to be too few at times.
            func kept() -> Int {
                func spares() -> Set<Int32> { Set(ProcessEntry.descendants().filter { $0.isSpare && !$0.isZombie }.map(\.pid)) }
                while true {
                    let (first, blocks, second) = (spares(), arena.blocksInUse, spares())
                    if first == second { return blocks - first.count }
                }
            }
            try work()
            let before = kept()
            for _ in 0..<5 { try work() }
            #expect(eventually { kept() <= before }, "\(kept()) blocks, \(before) before")
        }
    }
}
