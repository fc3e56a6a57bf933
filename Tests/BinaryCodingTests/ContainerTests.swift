import BinaryCoding
import Testing

struct ContainerTests {
    @Test func keysAreFoundInAnyOrder() throws {
        let bytes = try encoded(
            Written { encoder in
                var container = encoder.container(keyedBy: AnyKey.self)
                try container.encode(1, forKey: "a")
                try container.encode("two", forKey: "b")
                try container.encode([3, 4], forKey: "c")
                try container.encodeNil(forKey: "d")
                try container.encode(["x": 1.5], forKey: AnyKey("e", 5))
            })
        try reading(bytes) { decoder in
            let container = try decoder.container(keyedBy: AnyKey.self)
            #expect(try container.decode([String: Double].self, forKey: AnyKey("e", 5)) == ["x": 1.5])
            #expect(try container.decode([Int].self, forKey: "c") == [3, 4])
            #expect(try container.decode(String.self, forKey: "b") == "two")
            #expect(try container.decode(Int.self, forKey: "a") == 1)
            #expect(try container.decode(Int.self, forKey: "a") == 1)
            #expect(try container.decodeNil(forKey: "d"))
            #expect(try !container.decodeNil(forKey: "a"))
            #expect(container.contains("d"))
            #expect(!container.contains("f"))
            #expect(try container.decodeIfPresent(Int.self, forKey: "f") == nil)
            #expect(try container.decodeIfPresent(Int.self, forKey: "d") == nil)
            #expect(try container.decodeIfPresent(Int.self, forKey: "a") == 1)
            #expect(try container.decodeIfPresent(String.self, forKey: "b") == "two")
            #expect(container.allKeys.map(\.stringValue) == ["a", "b", "c", "d", "e"])
            #expect(throws: DecodingError.self) { try container.decodeNil(forKey: "f") }
            // A failed attempt does not use the value up.
            #expect(throws: DecodingError.self) { try container.decode(String.self, forKey: "a") }
            #expect(try container.decode(Int.self, forKey: "a") == 1)
        }
    }

    enum NumberedKey: Int, CodingKey { case first = 10, second = 20 }
    enum FewKeys: String, CodingKey { case a }

    /// A key type that knows integers only.
    struct IntOnlyKey: CodingKey {
        var stringValue: String { "" }
        var intValue: Int?
        init?(stringValue: String) { nil }
        init(intValue: Int) { self.intValue = intValue }
    }

    @Test func integerKeys() throws {
        let bytes = try encoded(
            Written { encoder in
                var container = encoder.container(keyedBy: NumberedKey.self)
                try container.encode("1st", forKey: .first)
                try container.encode("2nd", forKey: .second)
            })
        try reading(bytes) { decoder in
            let container = try decoder.container(keyedBy: NumberedKey.self)
            #expect(try container.decode(String.self, forKey: .second) == "2nd")
            #expect(container.allKeys == [.first, .second])
            let byName = try decoder.container(keyedBy: AnyKey.self)
            #expect(try byName.decode(String.self, forKey: "first") == "1st")
            // Keys that the type does not have are left out.
            #expect(try decoder.container(keyedBy: FewKeys.self).allKeys.isEmpty)
        }
        let numbers = try encoded(
            Written { encoder in
                var container = encoder.container(keyedBy: IntOnlyKey.self)
                for number in [3, 1, 2] { try container.encode(number * 10, forKey: IntOnlyKey(intValue: number)) }
            })
        try reading(numbers) { decoder in
            let container = try decoder.container(keyedBy: IntOnlyKey.self)
            #expect(try container.decode(Int.self, forKey: IntOnlyKey(intValue: 2)) == 20)
            #expect(container.allKeys.map(\.intValue) == [3, 1, 2])
        }
        // A key written as an integer is found by its decimal string, and the other way round.
        try reading(try encoded([7: "seven"])) { decoder in
            let name = try decoder.container(keyedBy: AnyKey.self).decode(String.self, forKey: "7")
            #expect(name == "seven")
        }
        try reading(try encoded(["7": "seven"])) { decoder in
            let name = try decoder.container(keyedBy: AnyKey.self).decode(String.self, forKey: AnyKey("7", 7))
            #expect(name == "seven")
        }
    }

    @Test(arguments: [3, 100, 3000]) func manyKeysInRandomOrder(_ count: Int) throws {
        let bytes = try encoded(
            Written { encoder in
                var container = encoder.container(keyedBy: AnyKey.self)
                for number in 0..<count { try container.encode(number, forKey: AnyKey("some key \(number)")) }
                for number in 0..<count where number % 7 == 0 { try container.encode(-number, forKey: AnyKey("some key \(number)")) }
            })
        try reading(bytes) { decoder in
            let container = try decoder.container(keyedBy: AnyKey.self)
            var generator = SeededGenerator(seed: 1)
            for number in (0..<count).shuffled(using: &generator) {
                let value = try container.decode(Int.self, forKey: AnyKey("some key \(number)"))
                #expect(value == (number % 7 == 0 ? -number : number))
            }
            #expect(container.allKeys.count == count)
            #expect(!container.contains("another"))
        }
    }

    @Test func theLastOfSeveralValuesOfAKeyCounts() throws {
        let long = AnyKey(String(repeating: "k", count: 300))
        let bytes = try encoded(
            Written { encoder in
                var container = encoder.container(keyedBy: AnyKey.self)
                try container.encode(1, forKey: "a")
                try container.encode(1, forKey: long)
                try container.encode(1, forKey: AnyKey("n", 1))
                var again = encoder.container(keyedBy: AnyKey.self)
                try again.encode("b", forKey: "a")
                try again.encode([2], forKey: long)
                try again.encode(2, forKey: AnyKey("n", 1))
                // This one fails, so the one before stays.
                #expect(throws: UserError.self) { try again.encode(Written { _ in throw UserError() }, forKey: "a") }
            })
        try reading(bytes) { decoder in
            let container = try decoder.container(keyedBy: AnyKey.self)
            #expect(try container.decode(String.self, forKey: "a") == "b")
            #expect(try container.decode([Int].self, forKey: AnyKey(String(repeating: "k", count: 300))) == [2])
            #expect(try container.decode(Int.self, forKey: AnyKey("n", 1)) == 2)
            #expect(container.allKeys.count == 3)
        }
    }

    @Test func unkeyedContainersHoldAnything() throws {
        let bytes = try encoded(
            Written { encoder in
                var container = encoder.unkeyedContainer()
                #expect(container.count == 0)
                try container.encode(1)
                try container.encodeNil()
                try container.encode("s")
                try container.encode(contentsOf: [true, false])
                try container.encode([1: 2])
                var again = encoder.unkeyedContainer()
                try again.encode(2.5)
                #expect(container.count == 7)
            })
        try reading(bytes) { decoder in
            var container = try decoder.unkeyedContainer()
            #expect(container.count == 7)
            #expect(try container.decode(Int.self) == 1)
            #expect(container.currentIndex == 1)
            // A failed attempt does not move on.
            #expect(throws: DecodingError.self) { try container.decode(Int.self) }
            #expect(try container.decodeNil())
            #expect(try !container.decodeNil())
            #expect(throws: DecodingError.self) { try container.nestedUnkeyedContainer() }
            #expect(try container.decode(String.self) == "s")
            #expect(try container.decode(Bool.self))
            #expect(try container.decodeIfPresent(Bool.self) == false)
            #expect(try container.decode([Int: Int].self) == [1: 2])
            #expect(!container.isAtEnd)
            #expect(try container.decode(Double.self) == 2.5)
            #expect(container.isAtEnd)
            #expect(throws: DecodingError.self) { try container.decode(Int.self) }
            #expect(try container.decodeIfPresent(Int.self) == nil)
        }
    }

    @Test func arraysAndUnkeyedContainersAreTheSame() throws {
        try reading(try encoded([10, 20, 30])) { decoder in
            var container = try decoder.unkeyedContainer()
            #expect(container.count == 3)
            #expect(try container.decode(Int.self) == 10)
            #expect(try container.decode(Wrapper.self).value == 20)
            #expect(try container.superDecoder().singleValueContainer().decode(Int64.self) == 30)
            #expect(container.isAtEnd)
        }
        let bytes = try encoded(
            Written { encoder in
                var container = encoder.unkeyedContainer()
                for number in 0..<3 { try container.encode(number) }
            })
        #expect(try decoded([Int].self, bytes) == [0, 1, 2])
        #expect(try decoded([Wrapper].self, encoded([1, 2])).map(\.value) == [1, 2])
        #expect(try decoded([Int].self, encoded([Wrapper(value: 1)])) == [1])
        #expect(try decoded([Int?].self, encoded([1, 2])) == [1, 2])
    }

    struct Wrapper: Codable {
        var value: Int
        init(value: Int) { self.value = value }
        init(from decoder: any Decoder) throws { value = try decoder.singleValueContainer().decode(Int.self) }
        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode(value)
        }
    }

    struct Empty: Codable, Equatable {}
    struct Silent: Codable, Equatable {
        init() {}
        init(from decoder: any Decoder) throws {}
        func encode(to encoder: any Encoder) throws {}
    }

    @Test func valuesThatEncodeNothing() throws {
        #expect(try there(Empty()) == Empty())
        #expect(try there(Silent()) == Silent())
        #expect(try there([Silent(), Silent()]).count == 2)
        #expect(try there([Empty(), Empty()]).count == 2)
        #expect(try there(["a": Silent()]) == ["a": Silent()])
        #expect(try there(Silent?.some(Silent())) == Silent())
        #expect(try decoded(Empty.self, encoded(Silent())) == Empty())
        for container in [
            try encoded(Written { _ = $0.container(keyedBy: AnyKey.self) }), try encoded(Written { _ = $0.unkeyedContainer() }),
        ] {
            #expect(container.count == 8)
        }
    }

    @Test func aValueIsOneContainer() throws {
        #expect(throws: EncodingError.self) {
            try encoded(
                Written { encoder in
                    _ = encoder.container(keyedBy: AnyKey.self)
                    _ = encoder.unkeyedContainer()
                })
        }
        #expect(throws: EncodingError.self) {
            try encoded(
                Written { encoder in
                    var container = encoder.singleValueContainer()
                    try container.encode(1)
                    try container.encode(2)
                })
        }
        #expect(throws: EncodingError.self) {
            try encoded(
                Written { encoder in
                    try 1.encode(to: encoder)
                    var container = encoder.container(keyedBy: AnyKey.self)
                    try container.encode(1, forKey: "a")
                })
        }
    }
}
