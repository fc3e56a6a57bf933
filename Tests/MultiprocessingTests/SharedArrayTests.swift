import Glibc
import Multiprocessing
import SharedState
import TestSupport
import Testing

extension PublicInterface {
    /// Shared arrays between processes.
    @Suite struct SharedArrayTests {
        @Test(arguments: StartMethod.all) func everybodyWorksOnTheSameElements(method: StartMethod) throws {
            let array = try SharedArray(repeating: 0, count: 100_000)
            try withPool(processes: 2, configuration: .init(method)) { pool in
                try pool.map(array.evenlyChunked(in: 7)) { chunk in
                    chunk.withMutableSpan { for i in $0.indices { $0[i] = chunk.range.lowerBound + i } }
                }
                #expect(array.withLock { elements in elements.indices.allSatisfy { elements[$0] == $0 } })
                array[4] = -1
                try #expect(pool.apply({ $0[4] }, array) == -1)
                try pool.apply({ (array: SharedArray<Int>) in array[5] = array.count }, array)
                #expect(array[5] == 100_000)
            }
        }

        @Test(arguments: StartMethod.all) func everyChunkIsWorkedOnOnce(method: StartMethod) async throws {
            for count in [0, 1, 3, 100_000] {
                let array = try SharedArray<Int>(repeating: 0, count: count)
                let body = { @Sendable (part: SharedArray<Int>.Chunk) in
                    part.withMutableSpan { elements in for i in elements.indices { elements[i] += part.range.lowerBound + i + 1 } }
                }
                try withPool(processes: 2, configuration: .init(method)) { pool in
                    try array.forEachChunk(in: pool, body)
                    try array.forEachChunk(in: pool, count: 1, body)
                    for wrong in [0, -1] { #expect(throws: UsageError.self) { try array.forEachChunk(in: pool, count: wrong, body) } }
                    let works = { @Sendable (part: SharedArray<Int>.Chunk) throws in
                        if part.range.contains(7) { throw Refusal(reason: "seven") }
                    }
                    if count > 7 { #expect(throws: Refusal.self) { try array.forEachChunk(in: pool, works) } }
                }
                try await withProcessPoolExecutor(maxWorkers: 2, configuration: .init(method)) { executor in
                    try await array.forEachChunk(in: executor, count: 3, body)
                }
                array.withLock { elements in
                    for i in elements.indices where elements[i] != 3 * (i + 1) { Issue.record("\(elements[i]) at \(i)") }
                }
            }
        }

        @Test(arguments: StartMethod.all) func countsAreExact(method: StartMethod) throws {
            let array = try SharedArray<Int32>(repeating: 0, count: 10)
            let children = (0..<4).map { _ in
                ChildProcess(array, configuration: .init(method)) { (array: SharedArray<Int32>) in
                    for i in 0..<10_000 { array.withLock { $0[i % 10] += 1 } }
                }
            }
            for child in children { try child.start() }
            for i in 0..<10_000 { array.withLock { $0[i % 10] += 1 } }
            for child in children { try child.result() }
            #expect(array.indices.allSatisfy { array[$0] == 5000 })
        }

        private struct Bundle: Codable, Sendable {
            var one: SharedArray<Double>
            var many: [SharedArray<UInt8>]
            var maybe: SharedArray<Double>?
            var chunk: SharedArray<Double>.Chunk
        }

        @Test(arguments: StartMethod.all) func handlesInsideOtherThings(method: StartMethod) throws {
            let doubles = try SharedArray([1.0, 2, 3, 4])
            let bytes = try (0..<3).map { try SharedArray([UInt8($0), 100]) }
            let bundle = Bundle(one: doubles, many: bytes, maybe: doubles, chunk: doubles.chunk(1..<3))
            try withPool(processes: 1, configuration: .init(method)) { pool in
                let back = try pool.apply(
                    { (bundle: Bundle) in
                        bundle.one[0] += 10
                        bundle.maybe?[3] += 10
                        bundle.chunk.withMutableSpan { for i in $0.indices { $0[i] += 10 } }
                        for array in bundle.many { array[1] += array[0] }
                        return bundle
                    }, bundle)
                #expect(doubles.indices.map { doubles[$0] } == [11, 12, 13, 14])
                #expect(bytes.map { $0[1] } == [100, 101, 102])
                back.one[0] = 0
                back.many[2][0] = 0
                #expect(doubles[0] == 0 && bytes[2][0] == 0 && back.chunk.range == 1..<3)
            }
        }

        @Test(arguments: StartMethod.all) func madeInAWorker(method: StartMethod) throws {
            let pool = try Pool(processes: 1, configuration: .init(method))
            let made = try pool.apply { try SharedArray((0..<50_000).map { $0 }) }
            #expect(made.count == 50_000 && made[49_999] == 49_999)
            #expect(throws: WorkerTerminated.self) { try pool.apply(die, .killed) }
            pool.terminate()
            try pool.join()
            #expect(made.withLock { elements in elements.indices.allSatisfy { elements[$0] == $0 } }, "it outlives its maker")
        }

        @Test(arguments: StartMethod.all) func deathInsideTheLock(method: StartMethod) throws {
            let array = try SharedArray(repeating: 1, count: 1000)
            let inside = try SharedValue(0)
            func dieInside() throws -> ChildProcess<Void> {
                inside.value = 0
                let child = ChildProcess(array, inside, configuration: .init(method)) {
                    (array: SharedArray<Int>, inside: SharedValue<Int>) in
                    array.withLock { elements in
                        for i in 0..<500 { elements[i] = 2 }
                        inside.value = 1
                        Death.killed.happen()
                    }
                }
                try child.start()
                #expect(eventually { inside.value == 1 })
                return child
            }
            let first = try dieInside()
            var repairs = 0
            // Waits for a lock whose owner is about to die, or has.
            array.withLock(repair: { elements in
                repairs += 1
                for i in elements.indices { elements[i] = 1 }
            }) { elements in
                #expect(elements.indices.allSatisfy { elements[$0] == 1 })
            }
            #expect(repairs == 1)
            array.withLock(repair: { _ in repairs += 1 }) { _ in }
            #expect(repairs == 1, "told once")
            let second = try dieInside()
            #expect(array.withLock { $0[0] } == 2, "without repair, what was written stays")
            let third = try dieInside()
            for i in 0..<3 { array[i] = i }
            array.withLock(repair: { _ in repairs += 1 }) { _ in }
            #expect(repairs == 2, "who sets one element is not who repairs")
            for child in [first, second, third] { try child.join() }
        }

        @Test func typeOfAHandleIsChecked() throws {
            try withPool(processes: 1) { pool in
                let otherElements = Disguise(try SharedArray<Int32>([1]), as: SharedArray<Int64>.self)
                let otherKind = Disguise(try SharedValue<Int64>(1), as: SharedArray<Int64>.self)
                for error in [
                    try errorThrown(TransferError.self) {
                        try pool.apply({ (_: Disguise<SharedArray<Int32>, SharedArray<Int64>>) in }, otherElements)
                    },
                    try errorThrown(TransferError.self) {
                        try pool.apply({ (_: Disguise<SharedValue<Int64>, SharedArray<Int64>>) in }, otherKind)
                    },
                ] {
                    guard case .cannotDecode = error else { throw error }
                }
            }
        }

        /// Objects that are an argument, or a result, by themselves.
        @Test(arguments: StartMethod.all) func objectsByThemselves(method: StartMethod) throws {
            let arena = try Arena.current()
            let before = arena.objectsInUse
            try withPool(processes: 1, configuration: .init(method)) { pool in
                let array = try SharedArray<UInt8>([1, 2, 3])
                let value = try SharedValue(5.5)
                for _ in 0..<100 {
                    let sameArray = try pool.apply(pass, array)
                    array[0] += 1
                    #expect(sameArray[0] == array[0] && sameArray.count == 3)
                    let sameValue = try pool.apply(pass, value)
                    value.value += 1
                    #expect(sameValue.value == value.value)
                    let lock = try pool.apply { try SharedLock() }
                    let sameLock = try pool.apply(
                        { (lock: SharedLock, refuses: Bool) in
                            if refuses { throw Refusal(reason: "locked") }
                            return lock
                        }, lock, false)
                    try lock.lock()
                    #expect(throws: Refusal.self) { try pool.apply({ (_: SharedLock) -> SharedLock in throw Refusal(reason: "no") }, lock) }
                    #expect(try !sameLock.tryLock())
                    try lock.unlock()
                    // A new one, of which nobody takes anything, and several results at once.
                    try pool.apply { _ = try SharedValue(1) }
                    let futures = (0..<3).map { _ in pool.applyAsync { try SharedValue(7) } }
                    #expect(try futures.map { try $0.get().value } == [7, 7, 7])
                }
            }
            #expect(eventually { arena.objectsInUse <= before }, "\(arena.objectsInUse) objects, \(before) before")
        }

        /// Bytes that are one handle, and are read as something else: whoever held it for them lets go.
        @Test func aHandleThatNobodyTakes() throws {
            let arena = try Arena.current()
            let before = arena.objectsInUse
            try withPool(processes: 1) { pool in
                for _ in 0..<20 {
                    let error = try errorThrown(TransferError.self) {
                        try pool.apply { Disguise(try SharedArray<Int32>([1]), as: SharedArray<Int64>.self) }
                    }
                    guard case .cannotDecode = error else { throw error }
                    let wrapped = try pool.apply { Wrapped(array: try SharedArray([1, 2])) }
                    #expect(wrapped.array[1] == 2)
                }
            }
            #expect(eventually { arena.objectsInUse <= before }, "\(arena.objectsInUse) objects, \(before) before")
        }

        @Test(arguments: StartMethod.all) func arraysGoWithTheirLastHandle(method: StartMethod) throws {
            let arena = try Arena.current()
            let before = arena.objectsInUse
            try withPool(processes: 2, configuration: .init(method)) { pool in
                for _ in 0..<10 {
                    let arrays = try pool.map(0..<10) { try SharedArray(repeating: $0, count: 10_000) }
                    #expect(try pool.map(arrays) { $0[9999] } == Array(0..<10))
                    // Nobody asks for this one's result.
                    pool.applyAsync { try SharedArray(repeating: 1, count: 10_000) }
                    _ = try? pool.apply({ (_: SharedArray<Int>) in die(.killed) }, arrays[0])
                    try pool.map(arrays[1].evenlyChunked(in: 4)) { _ in }
                }
                if method == .fork { return }
                // Workers let go of what they have sent when they come to their next task.
                #expect(
                    eventually {
                        _ = try? pool.map(0..<4, double)
                        return arena.objectsInUse <= before
                    }, "\(arena.objectsInUse) objects, \(before) before")
            }
            #expect(eventually { arena.objectsInUse <= before }, "\(arena.objectsInUse) objects, \(before) before")
        }
    }
}

/// Encodes just a handle, through an encoder.
private struct Wrapped: Codable, Sendable {
    let array: SharedArray<Int>

    init(array: SharedArray<Int>) { self.array = array }
    init(from decoder: any Decoder) throws { array = try decoder.singleValueContainer().decode(SharedArray<Int>.self) }
    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(array)
    }
}
