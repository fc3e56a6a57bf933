import Foundation
import SharedState
import TestSupport
import Testing

/// Shared atomics within one process.
@Suite(.watchdog(seconds: 120)) struct SharedAtomicAloneTests {
    private enum Colour: UInt8, BitwiseCopyable, Sendable { case red, green, blue }
    private struct Pair: BitwiseCopyable, Sendable, Equatable { var (a, b): (UInt16, Int16) }
    private struct Padded: BitwiseCopyable, Sendable { var (a, b): (UInt8, UInt16) }
    private struct PaddedInside: BitwiseCopyable, Sendable {
        var inner: Padded
        var c: UInt32
    }
    private struct Short: BitwiseCopyable, Sendable { var (a, b): (UInt16, UInt8) }

    @Test func allSizes() throws {
        func check<T: BitwiseCopyable & Sendable & Equatable>(_ a: T, _ b: T, _ c: T) throws {
            let atomic = try SharedAtomic(a)
            #expect(atomic.load() == a)
            atomic.store(b)
            #expect(atomic.load() == b)
            #expect(atomic.exchange(c) == b)
            #expect(atomic.compareExchange(expected: a, desired: b) == (false, c))
            #expect(atomic.load() == c)
            #expect(atomic.compareExchange(expected: c, desired: a) == (true, c))
            #expect(atomic.load() == a)
        }
        try check(UInt8(1), 255, 0)
        try check(Int16.min, .max, 7)
        try check(UInt32(1), .max, 0)
        try check(Int.min, .max, -1)
        try check(Float(1.5), -.infinity, 3)
        try check(Double(1.5), -.infinity, 3)
        try check(Colour.red, .green, .blue)
        try check(Pair(a: 1, b: -1), Pair(a: .max, b: 0), Pair(a: 1, b: 2))
        let flag = try SharedAtomic(false)
        #expect(flag.exchange(true) == false && flag.load())
    }

    @Test func sumsWrap() throws {
        let byte = try SharedAtomic<Int8>(120)
        #expect(byte.add(7) == 127)
        #expect(byte.add(1) == -128)
        #expect(byte.add(-1) == 127)
        let short = try SharedAtomic<UInt16>(.max)
        #expect(short.add(2) == 1)
        #expect(try SharedAtomic<UInt32>(5).add(.max) == 4)
        #expect(try SharedAtomic<Int>(5).add(-6) == -1)
    }

    @Test func comparisonIsOfBits() throws {
        let zero = try SharedAtomic(-0.0)
        #expect(!zero.compareExchange(expected: 0.0, desired: 1).exchanged)
        #expect(zero.compareExchange(expected: -0.0, desired: .nan).exchanged)
        #expect(zero.compareExchange(expected: .nan, desired: 1).exchanged, "though no NaN is equal to any")
    }

    @Test func whatIsNoWordIsRefused() throws {
        func refuse<T: BitwiseCopyable & Sendable>(_ value: T, _ words: String) throws {
            let error = try #require(throws: SharedMemoryError.self) { try SharedAtomic(value) }
            #expect(error.description.contains(words) && error.description.contains("SharedValue"), "\(error)")
        }
        try refuse((), "0")
        try refuse(SIMD4<Float>(), "16")
        try refuse(Optional(Int32(1)), "5")
        try refuse(Short(a: 1, b: 2), "3")
        try refuse(Padded(a: 1, b: 2), "padding")
        try refuse(PaddedInside(inner: Padded(a: 1, b: 2), c: 3), "padding")
        try refuse((UInt8(1), UInt16(2)), "padding")
    }

    @Test func foreignEncodersAreRefused() throws {
        #expect(throws: EncodingError.self) { try JSONEncoder().encode([SharedAtomic(1)]) }
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([SharedAtomic<Int>].self, from: Data("[1]".utf8)) }
    }

    @Test func nothingIsLostBetweenThreads() async throws {
        let (sum, tickets, product) = (try SharedAtomic(0), try SharedAtomic<UInt16>(0), try SharedAtomic<UInt8>(1))
        await withTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    for i in 0..<10_000 {
                        sum.add(i)
                        tickets.add(1)
                        var old = product.load()
                        while true {
                            let (exchanged, original) = product.compareExchange(expected: old, desired: old &* 3)
                            if exchanged { break }
                            old = original
                        }
                    }
                }
            }
        }
        #expect(sum.load() == 4 * 10_000 * 9_999 / 2)
        #expect(tickets.load() == 40_000)
        // 3 to the power of 40,000, modulo 256: 3 has the order 64.
        #expect(product.load() == 1)
    }
}
