import BinaryCoding
import Testing

/// Types as users write them, and those of the standard library that other tests do not need anyway.
struct CompletenessTests {
    // MARK: The standard library

    @Test func rangesOfAllKinds() throws {
        #expect(try there(3..<3) == 3..<3)
        #expect(try there("a"..."q") == "a"..."q")
        #expect(try there((-1.5)...).lowerBound == -1.5)
        #expect(try there(...7).upperBound == 7)
        #expect(try there(..<UInt8.max).upperBound == .max)
        #expect(try there([0..<1, 5..<9]) == [0..<1, 5..<9])
        // Bounds in the wrong order are bytes like others, and a Range of them would be undefined behaviour.
        let bytes = try encoded([9, 5])
        #expect(throws: DecodingError.self) { try decoded(Range<Int>.self, bytes) }
        #expect(throws: DecodingError.self) { try decoded(ClosedRange<Int>.self, bytes) }
    }

    @Test func setsAndDifferences() throws {
        #expect(try there(Set<Int>()) == [])
        #expect(try there(Set([[1], [2, 3], []])) == [[1], [2, 3], []])
        #expect(try there(Set([Card.heart, .spade])) == [.heart, .spade])
        let difference = [1, 2, 3, 4].difference(from: [2, 3, 9, 1]).inferringMoves()
        #expect(try there(difference) == difference)
    }

    @Test func containersInContainers() throws {
        let sparse: [String: [Int?]] = ["none": [], "some": [nil, 1, nil], "": [0]]
        #expect(try there(sparse) == sparse)
        let deep: [[String: [Int: [Bool?]?]]?] = [nil, [:], ["a": [:]], ["b": [1: nil, 2: [nil, true]]]]
        #expect(try there(deep) == deep)
        let optional: [String: Int??] = ["absent": .some(nil), "nil": nil, "here": 5]
        #expect(try there(optional) == optional)
        let five: [Int?????] = [nil, .some(nil), .some(.some(nil)), .some(.some(.some(nil))), .some(.some(.some(.some(nil)))), 1]
        #expect(try there(five) == five)
    }

    @Test func emptyContainers() throws {
        #expect(try there([String]()) == [])
        #expect(try there([Card]()) == [])
        #expect(try there([[Int]]()) == [])
        #expect(try there([Int: String]()) == [:])
        #expect(try there([Card: Int]()) == [:])
        #expect(try there([[Int]](repeating: [], count: 3)) == [[], [], []])
        #expect(try there([String: [String: Int]]()) == [:])
        #expect(try there(ContiguousArray<String>()) == [])
        #expect(try there(Empties()) == Empties())
    }

    struct Empties: Codable, Equatable {
        var list: [Int] = []
        var map: [String: Card] = [:]
        var text = ""
        var nothing: Never?
        var none: [Never] = []
    }

    @Test func whatHasNoValueIsNeverRead() throws {
        #expect(try there([Never]()) == [])
        #expect(try there(Never?.none) == nil)
        #expect(throws: DecodingError.self) { try decoded(Never.self, encoded(1)) }
        #expect(throws: DecodingError.self) { try decoded([Never].self, encoded([1])) }
        #expect(throws: DecodingError.self) { try decoded(Never?.self, encoded(1)) }
    }

    @Test func wideIntegersAnywhere() throws {
        struct Wide: Codable, Equatable { var low: Int128; var high: UInt128?; var all: [Int128]; var keyed: [String: UInt128] }
        let wide = Wide(low: .min, high: .max, all: [.min, -1, .max], keyed: ["a": 1 << 100])
        #expect(try there(wide) == wide)
        #expect(try there([Int128?.none, .max]) == [nil, .max])
    }

    // MARK: Types as users write them

    enum Card: String, Codable, CodingKeyRepresentable { case heart, spade }

    /// As Foundation's `Date` does it: one number in a single-value container.
    struct Moment: Codable, Hashable, Comparable {
        var seconds: Double
        init(_ seconds: Double) { self.seconds = seconds }
        init(from decoder: any Decoder) throws { seconds = try decoder.singleValueContainer().decode(Double.self) }
        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode(seconds)
        }
        static func < (left: Moment, right: Moment) -> Bool { left.seconds < right.seconds }
    }

    @Test func dateLikeTypes() throws {
        #expect(try there(Moment(1.5)) == Moment(1.5))
        #expect(try there([Moment(0), Moment(-.infinity)]) == [Moment(0), Moment(-.infinity)])
        #expect(try there([Moment(1): [Moment(2)]]) == [Moment(1): [Moment(2)]])
        #expect(try there(Moment(1)..<Moment(2)) == Moment(1)..<Moment(2))
        #expect(try there(Moment?.none) == nil)
        #expect(try there(["at": Moment?.some(Moment(3))]) == ["at": Moment(3)])
    }

    /// For what the standard library leaves without a conformance: characters, substrings, results.
    struct Wrapped: Codable, Equatable {
        var character: Character
        var part: Substring
        var result: Result<Int, Failure>
        struct Failure: Error, Codable, Equatable { var code: Int }

        private enum Key: CodingKey { case character, part, success, failure }
        init(_ character: Character, _ part: Substring, _ result: Result<Int, Failure>) {
            (self.character, self.part, self.result) = (character, part, result)
        }
        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Key.self)
            let text = try container.decode(String.self, forKey: .character)
            guard let first = text.first, text.count == 1 else {
                throw DecodingError.dataCorruptedError(forKey: .character, in: container, debugDescription: "not one character")
            }
            character = first
            part = Substring(try container.decode(String.self, forKey: .part))
            if let value = try container.decodeIfPresent(Int.self, forKey: .success) {
                result = .success(value)
            } else {
                result = .failure(try container.decode(Failure.self, forKey: .failure))
            }
        }
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(String(character), forKey: .character)
            try container.encode(String(part), forKey: .part)
            switch result {
            case .success(let value): try container.encode(value, forKey: .success)
            case .failure(let error): try container.encode(error, forKey: .failure)
            }
        }
    }

    @Test func whatUsersWrap() throws {
        let good = Wrapped("👩‍👩‍👧", "a part of it".prefix(6), .success(5))
        #expect(try there(good) == good)
        let bad = Wrapped("e\u{301}", "", .failure(Wrapped.Failure(code: -1)))
        #expect(try there([bad, good]) == [bad, good])
    }

    /// A type with an invariant: bytes that break it are its own `init(from:)`'s to refuse, in whatever it lies.
    struct Even: Codable, Equatable {
        struct Odd: Error, Equatable { var value: Int }
        var value: Int
        init(unchecked value: Int) { self.value = value }
        init(from decoder: any Decoder) throws {
            value = try decoder.singleValueContainer().decode(Int.self)
            if value % 2 != 0 { throw Odd(value: value) }
        }
        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode(value)
        }
    }

    @Test func aThrowingInitIsAsked() throws {
        #expect(try there([Even(unchecked: 2)]) == [Even(unchecked: 2)])
        #expect(throws: Even.Odd(value: 3)) { try there(Even(unchecked: 3)) }
        #expect(throws: Even.Odd(value: 3)) { try there([Even(unchecked: 2), Even(unchecked: 3)]) }
        #expect(throws: Even.Odd(value: 3)) { try there(["a": Even?.some(Even(unchecked: 3))]) }
        #expect(throws: Even.Odd(value: 3)) { try there([1: [Even(unchecked: 3)]]) }
    }

    struct Options: OptionSet, Codable, Equatable { var rawValue: UInt16 }
    enum Level: Int8, Codable, CaseIterable { case low = -1, middle, high }
    struct Pair<A: Codable, B: Codable>: Codable { var a: A; var b: B }
    struct Recursive: Codable, Equatable { var name: String; var parts: [Recursive]; var byName: [String: Recursive]? }
    enum Payload: Codable, Equatable {
        case none
        case labelled(name: String, count: Int?)
        case plain(Int, [String])
        indirect case nested(Payload, also: [Payload])
    }

    @Test func synthesisedConformances() throws {
        #expect(try there(Options(rawValue: 0x8001)) == Options(rawValue: 0x8001))
        #expect(try there(Level.allCases) == Level.allCases)
        #expect(throws: DecodingError.self) { try decoded(Level.self, encoded(Int8(2))) }
        #expect(throws: DecodingError.self) { try decoded(Card.self, encoded("joker")) }
        #expect(try there([Card.heart: 1]) == [.heart: 1])
        let pair = try there(Pair(a: Pair(a: 1, b: "x"), b: Pair(a: [Level.high], b: Card?.none)))
        #expect(pair.a.b == "x" && pair.b.a == [.high] && pair.b.b == nil)
        let leaf = Recursive(name: "leaf", parts: [], byName: nil)
        let tree = Recursive(
            name: "tree", parts: [leaf, leaf], byName: ["leaf": leaf, "": Recursive(name: "", parts: [leaf], byName: [:])])
        #expect(try there(tree) == tree)
        let payloads: [Payload] = [.none, .labelled(name: "", count: nil), .plain(1, ["a"]), .nested(.none, also: [.plain(2, [])])]
        #expect(try there(payloads) == payloads)
    }
}
