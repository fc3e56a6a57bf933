import BinaryCoding
import Testing

/// Whatever value is encoded, the same is decoded, and takes up just its bytes.
struct PropertyTests {
    /// A number with every bit of it, as NaNs equal nothing.
    struct Real: Codable, Equatable {
        var value: Double
        static func == (left: Real, right: Real) -> Bool { left.value.bitPattern == right.value.bitPattern }
    }
    struct Record: Codable, Equatable {
        var id: UInt16
        var parent: Int64?
        var tags: Set<String>
        var place: SIMD4<Float>
        var inner: [Anything]
        var chain: Int???
    }
    class Base: Codable { var number: Int; init(_ number: Int) { self.number = number } }
    /// With the superclass's part in an encoder of its own.
    final class Derived: Base, Equatable {
        var inner: Anything
        init(_ number: Int, _ inner: Anything) {
            self.inner = inner
            super.init(number)
        }
        private enum Key: CodingKey { case inner }
        required init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Key.self)
            inner = try container.decode(Anything.self, forKey: .inner)
            try super.init(from: container.superDecoder())
        }
        override func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(inner, forKey: .inner)
            try super.encode(to: container.superEncoder())
        }
        static func == (left: Derived, right: Derived) -> Bool { left.number == right.number && left.inner == right.inner }
    }
    /// Two lists that are written in turns, so that each lies in pieces.
    struct Woven: Codable, Equatable {
        var left: [Anything]
        var right: [Anything]
        init(_ left: [Anything], _ right: [Anything]) { (self.left, self.right) = (left, right) }
        init(from decoder: any Decoder) throws {
            var container = try decoder.unkeyedContainer()
            left = try container.decode([Anything].self)
            right = try container.decode([Anything].self)
        }
        func encode(to encoder: any Encoder) throws {
            var container = encoder.unkeyedContainer()
            var lefts = container.nestedUnkeyedContainer()
            var rights = container.nestedUnkeyedContainer()
            for place in 0..<max(left.count, right.count) {
                if place < left.count { try lefts.encode(left[place]) }
                if place < right.count { try rights.encode(right[place]) }
            }
        }
    }
    indirect enum Anything: Codable, Equatable {
        case nothing, flag(Bool), int(Int), small(Int8), wide(Int128), unsigned(UInt32), real(Real), text(String), bytes([UInt8])
        case list([Anything]), map([String: Anything]), numbered([Int: Anything]), optional(Anything?), strings([String?])
        case record(Record), object(Derived), woven(Woven), range(Range<Int>), pair(Anything, named: Anything)
    }

    static func anything(_ generator: inout SeededGenerator, _ depth: Int) -> Anything {
        func bit() -> Bool { generator.next() % 2 == 0 }
        func word() -> UInt64 { generator.next() >> (generator.next() % 64) }
        func int() -> Int { Int(truncatingIfNeeded: word()) }
        func text() -> String {
            let length = generator.next() % 40 == 0 ? Int(generator.next() % 400) : Int(generator.next() % 12)
            return String(String.UnicodeScalarView((0..<length).map { _ in ["a", "é", "€", "🎈", "\0", "x"][Int(generator.next() % 6)] }))
        }
        func list() -> [Anything] { (0..<Int(generator.next() % 4)).map { _ in anything(&generator, depth - 1) } }
        switch generator.next() % (depth > 0 ? 19 : 9) {
        case 0: return .nothing
        case 1: return .flag(bit())
        case 2: return .int(bit() ? int() : -int())
        case 3: return .small(Int8(truncatingIfNeeded: word()))
        case 4: return .wide(Int128(truncatingIfNeeded: generator.next()) << 64 | Int128(word()))
        case 5: return .unsigned(UInt32(truncatingIfNeeded: word()))
        case 6: return .real(Real(value: Double(bitPattern: generator.next())))
        case 7: return .text(text())
        case 8:
            let length = generator.next() % 40 == 0 ? Int(generator.next() % 3000) : Int(generator.next() % 12)
            return .bytes((0..<length).map { UInt8(truncatingIfNeeded: $0) })
        case 9: return .list(list())
        case 10: return .map(Dictionary(list().map { (text(), $0) }) { $1 })
        case 11: return .numbered(Dictionary(list().map { (int(), $0) }) { $1 })
        case 12: return .optional(bit() ? nil : anything(&generator, depth - 1))
        case 13: return .strings((0..<Int(generator.next() % 5)).map { _ in bit() ? nil : text() })
        case 14:
            return .record(
                Record(
                    id: UInt16(truncatingIfNeeded: word()), parent: bit() ? nil : Int64(int()), tags: Set(bit() ? [] : [text(), text()]),
                    place: [1, Float(int()), -0.0, .infinity], inner: list(),
                    chain: [nil, .some(nil), .some(.some(nil)), int()][Int(generator.next() % 4)]))
        case 15: return .object(Derived(int(), anything(&generator, depth - 1)))
        case 16: return .woven(Woven(list(), list()))
        case 17:
            let low = int() >> 2
            return .range(low..<low + Int(generator.next() % 1000))
        default: return .pair(anything(&generator, depth - 1), named: anything(&generator, depth - 1))
        }
    }

    @Test func whatIsEncodedIsDecoded() throws {
        var generator = SeededGenerator(seed: 1)
        // One writer for all, as a pool has it, and several values behind each other.
        let writer = HeapByteWriter(capacity: 1)
        for round in 0..<Rounds.count(20_000) / 2 {
            let first = Self.anything(&generator, 4)
            let second = Self.anything(&generator, 1)
            writer.removeAll()
            try encodeBinary(first, to: writer)
            try encodeBinary(second, to: writer)
            var reader = ByteReader(writer.written)
            guard try decodeBinary(Anything.self, from: &reader) == first, try decodeBinary(Anything.self, from: &reader) == second,
                reader.remaining == 0
            else {
                Issue.record("round \(round): \(first) or \(second) came back as something else")
                return
            }
        }
    }
}
