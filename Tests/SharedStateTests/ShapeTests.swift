import Foundation
import SharedState
import TestSupport
import Testing

/// Values of all sizes and alignments, with parts that are nobody's.
@Suite(.watchdog(seconds: 120)) struct ShapeTests {
    private struct Nothing: BitwiseCopyable, Sendable, Equatable {}
    private struct Three: BitwiseCopyable, Sendable, Equatable { var (a, b, c): (UInt8, UInt8, UInt8) }
    private struct Gap: BitwiseCopyable, Sendable, Equatable {
        var a: UInt8
        var b: UInt32
    }
    private struct Tail: BitwiseCopyable, Sendable, Equatable {
        var a: UInt32
        var b: UInt8
    }
    private struct Nine: BitwiseCopyable, Sendable, Equatable {
        var a: UInt64
        var b: UInt8
    }
    private struct Page: BitwiseCopyable, Sendable, Equatable {
        var bytes: InlineArray<4096, UInt8>
        init(_ n: UInt8) { bytes = .init(repeating: n) }
        static func == (a: Page, b: Page) -> Bool { a.bytes.indices.allSatisfy { a.bytes[$0] == b.bytes[$0] } }
    }

    private struct Stop: Error {}

    private func check<T: BitwiseCopyable & Sendable & Equatable>(_ a: T, _ b: T) throws {
        let value = try SharedValue(a)
        #expect(value.value == a, "\(T.self)")
        value.value = b
        #expect(value.value == b, "\(T.self)")
        // All or nothing.
        #expect(throws: Stop.self) {
            try value.withLock {
                $0 = a
                throw Stop()
            }
        }
        #expect(value.value == b, "\(T.self)")
        value.withLock {
            #expect($0 == b)
            withUnsafePointer(to: &$0) { #expect(Int(bitPattern: $0) % MemoryLayout<T>.alignment == 0) }
            $0 = a
        }
        #expect(value.value == a, "\(T.self)")

        let array = try SharedArray(repeating: a, count: 9)
        for i in array.indices where i % 2 == 1 { array[i] = b }
        #expect(array.indices.allSatisfy { array[$0] == ($0 % 2 == 1 ? b : a) }, "\(T.self)")
        array.withUnsafeMutableBufferPointer {
            #expect(Int(bitPattern: $0.baseAddress) % MemoryLayout<T>.alignment == 0, "\(T.self)")
        }
    }

    @Test func allShapes() throws {
        try check(Nothing(), Nothing())
        try check(Three(a: 1, b: 2, c: 3), Three(a: 255, b: 0, c: 7))
        try check(Gap(a: 1, b: 2), Gap(a: 255, b: .max))
        try check(Tail(a: 1, b: 2), Tail(a: .max, b: 255))
        try check(Nine(a: 1, b: 2), Nine(a: .max, b: 255))
        try check(InlineBytes(), InlineBytes(first: 9))
        try check(SIMD2<UInt64>(1, 2), .init(repeating: .max))
        try check(SIMD3<Double>(1, 2, 3), .init(repeating: -1))
        try check(SIMD16<UInt32>(repeating: 7), .zero)
        try check(Page(1), Page(2))
        try check(Optional(7), nil)
        try check(Optional<Three>.none, Three(a: 1, b: 2, c: 3))
    }

    /// Eight bytes that lie at any address.
    private struct InlineBytes: BitwiseCopyable, Sendable, Equatable {
        var first: UInt8 = 1
        var rest: (UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8) = (2, 3, 4, 5, 6, 7, 8)
        static func == (a: Self, b: Self) -> Bool { a.first == b.first && a.rest.0 == b.rest.0 && a.rest.6 == b.rest.6 }
    }

    /// No reader sees parts of two values, of whatever size: it reads without the lock, while others write.
    @Test func readersSeeWholeValues() throws {
        func check<T: BitwiseCopyable & Sendable>(_ make: (UInt8) -> T, _ isWhole: (T) -> Bool) throws {
            let value = try SharedValue(make(0))
            let (two, isOver) = ((make(1), make(2)), try SharedAtomic(false))
            let ended = try (0..<2).map { _ in
                let ended = try SharedAtomic(false)
                try start {
                    while !isOver.load() {
                        value.value = two.0
                        value.value = two.1
                    }
                    ended.store(true)
                }
                return ended
            }
            #expect((0..<5_000).count { _ in !isWhole(value.value) } == 0, "\(T.self)")
            isOver.store(true)
            for ended in ended { #expect(eventually { ended.load() }) }
        }
        try check({ Three(a: $0, b: $0, c: $0) }) { $0.a == $0.b && $0.b == $0.c }
        try check({ Gap(a: $0, b: UInt32($0)) }) { UInt32($0.a) == $0.b }
        try check({ Nine(a: UInt64($0), b: $0) }) { $0.a == UInt64($0.b) }
        try check({ SIMD16<UInt32>(repeating: UInt32($0)) }) { $0.min() == $0.max() }
        try check({ Page($0) }) { page in stride(from: 255, to: 4096, by: 320).allSatisfy { page.bytes[$0] == page.bytes[0] } }
    }

    private func start(_ body: @escaping @Sendable () -> Void) throws { Thread.detachNewThread(body) }
}
