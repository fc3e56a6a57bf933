import BinaryCoding
import Testing

/// Whatever the bytes: a value or a `DecodingError`, and no more memory than the bytes justify.
struct UntrustedBytesTests {
    struct Everything: Codable {
        var int = 5
        var bool = true
        var small: UInt8? = 7
        var float = 1.5 as Float
        var text = "some text"
        var numbers = [1, 2, 3]
        var flags = [true, false]
        var texts = ["a", "b"]
        var optional: [Int??] = [nil, .some(nil), 1]
        var map = ["x": 1, "y": 2]
        var numbered = [1: "one"]
        var tree: Tree = .node([.leaf(1), .node([])])
        var vector = SIMD4<Float>(1, 2, 3, 4)
        var range = 1..<5
        var set: Set<String> = ["s"]
        var woven = Woven()
        var dates: [Pair] = [Pair(a: 1, b: "x")]
    }
    struct Pair: Codable { var a: Int; var b: String }
    indirect enum Tree: Codable { case leaf(Int), node([Tree]) }

    /// Writes two nested containers in turns, for bytes with links in them.
    struct Woven: Codable {
        var left = [1, 2, 3]
        var right = ["a": 1, "b": 2, "c": 3]
        init() {}
        func encode(to encoder: any Encoder) throws {
            var container = encoder.unkeyedContainer()
            var lefts = container.nestedUnkeyedContainer()
            var rights = container.nestedContainer(keyedBy: AnyKey.self)
            for (number, pair) in zip(left, right) {
                try lefts.encode(number)
                try rights.encode(pair.value, forKey: AnyKey(pair.key))
            }
        }
        init(from decoder: any Decoder) throws {
            var container = try decoder.unkeyedContainer()
            left = try container.decode([Int].self)
            right = try container.decode([String: Int].self)
        }
    }

    @Test func theSampleItselfTravels() throws {
        let copy = try there(Everything())
        #expect(copy.woven.left == [1, 2, 3])
        #expect(copy.woven.right == ["a": 1, "b": 2, "c": 3])
        #expect(copy.optional == [nil, .some(nil), 1])
    }

    /// Decodes as several types. Returns whether anything but a value or a DecodingError came of it.
    private func survives(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> (any Error)? {
        func attempt<T: Decodable>(_ type: T.Type) -> (any Error)? {
            do {
                try bytes.withUnsafeBytes { buffer in
                    var reader = ByteReader(buffer)
                    _ = try decodeBinary(T.self, from: &reader)
                }
            } catch is DecodingError {} catch { return error }
            return nil
        }
        switch generator.next() % 24 {
        case 0: return attempt([String: [Int]].self)
        case 1: return attempt(Tree.self)
        case 2: return attempt([Pair].self)
        case 3: return attempt(String??.self)
        case 4: return attempt(Woven.self)
        case 5: return attempt([Int: Double].self)
        case 6: return attempt([[Bool]].self)
        case 7: return attempt(PropertyTests.Anything.self)
        case 8: return attempt(Int128.self)
        case 9: return attempt([Bool?].self)
        case 10: return attempt(Range<Int>.self)
        case 11: return attempt([SIMD4<Float>].self)
        case 12: return attempt(Int.self)
        case 13: return attempt(String.self)
        case 14: return attempt(Bool.self)
        default: return attempt(Everything.self)
        }
    }

    @Test func changedBytesNeverTrap() throws {
        let samples = [
            try encoded(Everything()), try encoded(Woven()), try encoded(["a": [1, 2], "b": [3]]),
            try encoded(Tree.node([.leaf(1), .leaf(2)])),
            try encoded([Pair(a: 1, b: "x")]), try encoded("a string"), try encoded([1: 2.5]), try encoded([[true], [false]]),
        ]
        var generator = SeededGenerator(seed: 42)
        for round in 0..<Rounds.count(60_000) {
            // Mostly the sample with everything in it, as a small one is soon known by heart.
            var bytes = samples[generator.next() % 3 == 0 ? Int(generator.next() % UInt64(samples.count)) : round % 2]
            for _ in 0..<1 + generator.next() % 4 {
                let place = Int(generator.next() % UInt64(bytes.count))
                switch generator.next() % 8 {
                case 0: bytes.remove(at: place)
                case 1: bytes.insert(UInt8(truncatingIfNeeded: generator.next()), at: place)
                case 2: bytes.removeLast(bytes.count - place)
                case 3: bytes[place] = [0, 1, 2, 0x7B, 0x70, 0x71, 0x73, 0x50, 0x60, 0x61, 0x78, 0x80, 0xFF][Int(generator.next() % 13)]
                case 4: bytes[place] ^= 1 << UInt8(generator.next() % 8)
                case 5:
                    let other = Int(generator.next() % UInt64(bytes.count))
                    for offset in 0..<min(16, bytes.count - max(place, other)) { bytes[place + offset] = bytes[other + offset] }
                default: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
                }
                if bytes.isEmpty { bytes = [0] }
            }
            if let error = survives(bytes, &generator) { Issue.record("round \(round): \(error) from \(bytes)") }
        }
    }

    @Test func randomBytesNeverTrap() throws {
        var generator = SeededGenerator(seed: 7)
        let tags: [UInt8] = [
            0, 1, 2, 3, 4, 0x10, 0x15, 0x22, 0x30, 0x40, 0x41, 0x50, 0x60, 0x61, 0x70, 0x71, 0x72, 0x73, 0x78, 0x79, 0x7A, 0x7B,
        ]
        for round in 0..<Rounds.count(60_000) {
            var bytes = (0..<Int(generator.next() % 80)).map { _ in
                generator.next() % 2 == 0 ? tags[Int(generator.next() % UInt64(tags.count))] : UInt8(generator.next() % 40)
            }
            if bytes.isEmpty { bytes = [tags[round % tags.count]] }
            if let error = survives(bytes, &generator) { Issue.record("round \(round): \(error) from \(bytes)") }
        }
    }

    @Test func everyTruncationIsAnError() throws {
        let whole = try encoded(Everything())
        for length in 0..<whole.count {
            #expect(throws: DecodingError.self) { try decoded(Everything.self, Array(whole[..<length])) }
        }
    }

    @Test func claimedLengthsAllocateNothing() throws {
        // Each claims 2^40 bytes or elements and has a handful.
        for tag: UInt64 in [0x41, 0x50, 0x60, 0x61, 0x71, 0x72, 0x73] {
            var bytes = withUnsafeBytes(of: tag | 1 << 48) { Array($0) }
            bytes += [UInt8](repeating: 0, count: 64)
            #expect(throws: DecodingError.self) { try decoded([Int].self, bytes) }
            #expect(throws: DecodingError.self) { try decoded([String: Int].self, bytes) }
            #expect(throws: DecodingError.self) { try decoded(String.self, bytes) }
        }
    }

    /// Several slots sharing one piece would let a few bytes stand for exponentially many values.
    @Test func aPieceBelongsToOneSlot() throws {
        func head(_ tag: UInt64, _ length: Int) -> [UInt8] { withUnsafeBytes(of: tag | UInt64(length) << 8) { Array($0) } }
        func word(_ value: Int) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }
        // Two empty slots, linked to one piece that names the first as its owner.
        let slots = head(0x72, 0) + word(32) + head(0x72, 0) + word(16)
        let piece = head(0x7B, 9) + word(0) + word(32) + [0x15] + word(5)
        let bytes = head(0x61, slots.count + piece.count) + slots + piece
        #expect(throws: DecodingError.self) { try decoded([[Int]].self, bytes) }
        // The same with the first slot alone is what an encoder could have made.
        let one = head(0x61, 16 + piece.count) + head(0x72, 0) + word(16) + head(0x7B, 9) + word(0) + word(16) + [0x15] + word(5)
        #expect(try decoded([[Int]].self, one) == [[5]])
    }
}
