import Foundation
import SharedState
import TestSupport
import Testing

/// Shared arrays within one process.
@Suite(.watchdog(seconds: 120)) struct SharedArrayAloneTests {
    private struct Odd: BitwiseCopyable, Sendable, Equatable {
        var a: UInt8
        var b: UInt16
        var c: UInt64
    }

    @Test func elementsOfAllSizes() throws {
        func check<T: BitwiseCopyable & Sendable & Equatable>(_ value: T, _ other: T) throws {
            let array = try SharedArray(repeating: value, count: 5)
            #expect(array.count == 5 && array.indices == 0..<5)
            #expect(array.indices.allSatisfy { array[$0] == value })
            array[3] = other
            #expect(array.indices.map { array[$0] } == [value, value, value, other, value])
            let copy = try SharedArray([other, value, other])
            #expect(copy.indices.map { copy[$0] } == [other, value, other])
        }
        try check(true, false)
        try check(UInt8(1), 255)
        try check(Int16(-1), 300)
        try check(Float(1.5), -.infinity)
        try check(Int64.min, .max)
        try check(SIMD3<Float>(1, 2, 3), .zero)
        try check(SIMD16<Double>(repeating: 7), .init(repeating: 9))
        try check(Odd(a: 1, b: 2, c: 3), Odd(a: 4, b: 5, c: 6))
        // Three bytes, which lie at any address.
        try check(InlineBytes(a: 1, b: 2, c: 3), InlineBytes(a: 4, b: 5, c: 6))
    }

    private struct InlineBytes: BitwiseCopyable, Sendable, Equatable { var a: UInt8, b: UInt8, c: UInt8 }

    @Test func memoryIsFilledWhateverWasThere() throws {
        // The second has the memory that the first has left.
        for value in [UInt32.max, 0, 7] {
            let array = try SharedArray(repeating: value, count: 100_000)
            #expect(array.withLock { elements in elements.indices.allSatisfy { elements[$0] == value } })
            array.withUnsafeMutableBufferPointer { $0.update(repeating: 0xdead_beef) }
        }
    }

    @Test func emptyOnes() throws {
        let empty = try SharedArray<Double>([])
        #expect(empty.count == 0 && empty.indices.isEmpty)
        #expect(empty.withLock { $0.count } == 0)
        #expect(empty.chunks(ofCount: 3).isEmpty)
        #expect(empty.evenlyChunked(in: 3).map(\.range) == [0..<0, 0..<0, 0..<0])
        #expect(try SharedArray(repeating: 1, count: 0).count == 0)
    }

    @Test func impossibleSizesAreErrors() throws {
        #expect(throws: SharedMemoryError.self) { try SharedArray(repeating: 1, count: -1) }
        #expect(throws: SharedMemoryError.self) { try SharedArray(repeating: 1, count: .max) }
        #expect(throws: SharedMemoryError.self) { try SharedArray(repeating: 1, count: .max / 8) }
        // More than any machine has.
        let error = try #require(throws: SharedMemoryError.self) { try SharedArray<UInt8>(repeating: 1, count: 1 << 46) }
        #expect(error.description.contains("full"))
        // And nothing has been taken for them.
        _ = try SharedArray(repeating: 1, count: 100_000)
    }

    @Test func chunksCoverTheArrayOnce() throws {
        for count in [1, 2, 7, 64, 1000] {
            let array = try SharedArray(repeating: 0, count: count)
            for size in [1, 2, 3, 64, 5000] {
                let chunks = array.chunks(ofCount: size)
                #expect(chunks.flatMap { Array($0.range) } == Array(0..<count))
                #expect(chunks.dropLast().allSatisfy { $0.count == size })
            }
            for parts in [1, 2, 3, 64, 1001] {
                let chunks = array.evenlyChunked(in: parts)
                #expect(chunks.count == parts && chunks.flatMap { Array($0.range) } == Array(0..<count))
                let sizes = Set(chunks.map(\.count))
                #expect(sizes.count == 1 || sizes.count == 2 && sizes.max().map { sizes.contains($0 - 1) } == true)
            }
        }
        let array = try SharedArray(Array(0..<10))
        let chunk = array.chunk(3..<7)
        chunk.withMutableSpan { for i in $0.indices { $0[i] *= 10 } }
        #expect(chunk.withSpan { $0[0] } == 30)
        #expect(array.indices.map { array[$0] } == [0, 1, 2, 30, 40, 50, 60, 7, 8, 9])
        #expect(throws: EncodingError.self) { try JSONEncoder().encode(chunk) }
    }

    @Test func foreignEncodersAreRefused() throws {
        let shared = try SharedArray([1, 2])
        #expect(throws: EncodingError.self) { try JSONEncoder().encode([shared]) }
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([SharedArray<Int>].self, from: Data("[1]".utf8)) }
    }

    @Test func countsAreExactBetweenThreads() async throws {
        let shared = try SharedArray(repeating: 0, count: 3)
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask { for i in 0..<5000 { shared.withLock { $0[i % 3] += 1 } } }
            }
        }
        #expect(shared.indices.map { shared[$0] }.reduce(0, +) == 40_000)
    }

    @Test func aThrowingBodyReleasesTheLock() throws {
        struct Refusal: Error {}
        let shared = try SharedArray([1, 2])
        #expect(throws: Refusal.self) {
            try shared.withLock { elements in
                elements[0] = 5
                throw Refusal()
            }
        }
        #expect(shared.withLock { $0[0] } == 5, "what it has written stays, and the lock is free")
    }
}
