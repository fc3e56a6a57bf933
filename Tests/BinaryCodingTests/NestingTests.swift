import BinaryCoding
import Testing

struct NestingTests {
    /// Writes into four slots turn by turn: each must end up with its own.
    @Test func nestedContainersMayBeWrittenInTurns() throws {
        let bytes = try encoded(
            Written { encoder in
                var outer = encoder.container(keyedBy: AnyKey.self)
                var list = outer.nestedUnkeyedContainer(forKey: "list")
                var map = outer.nestedContainer(keyedBy: AnyKey.self, forKey: "map")
                let late = outer.superEncoder(forKey: "late")
                let never = outer.superEncoder()
                for number in 0..<10 {
                    try list.encode(number)
                    try map.encode("\(number)", forKey: AnyKey("k\(number)"))
                    try outer.encode(number, forKey: AnyKey("o\(number)"))
                    var deeper = list.nestedUnkeyedContainer()
                    try map.encode([number], forKey: "same")
                    try deeper.encode("deep \(number)")
                }
                try [1.5, 2.5].encode(to: late)
                _ = never
                #expect(list.count == 20)
            })
        let copy = bytes
        try reading(bytes) { decoder in
            let outer = try decoder.container(keyedBy: AnyKey.self)
            #expect(outer.allKeys.count == 14)
            #expect(try outer.decode([Double].self, forKey: "late") == [1.5, 2.5])
            var list = try outer.nestedUnkeyedContainer(forKey: "list")
            #expect(list.count == 20)
            let map = try outer.nestedContainer(keyedBy: AnyKey.self, forKey: "map")
            #expect(map.allKeys.count == 11)
            #expect(try map.decode([Int].self, forKey: "same") == [9])
            for number in 0..<10 {
                #expect(try outer.decode(Int.self, forKey: AnyKey("o\(number)")) == number)
                #expect(try map.decode(String.self, forKey: AnyKey("k\(number)")) == "\(number)")
                #expect(try list.decode(Int.self) == number)
                #expect(try list.decode([String].self) == ["deep \(number)"])
            }
            #expect(list.isAtEnd)
            #expect(try outer.superDecoder().container(keyedBy: AnyKey.self).allKeys.isEmpty)
        }
        // Followed by another value, the reader stands right behind the first.
        try (copy + encoded("next")).withUnsafeBytes { buffer in
            var reader = ByteReader(buffer)
            _ = try decodeBinary(ContainerTests.Silent.self, from: &reader)
            #expect(try decodeBinary(String.self, from: &reader) == "next")
        }
    }

    class Animal: Codable {
        var name: String
        var legs: Int
        init(name: String, legs: Int) {
            self.name = name
            self.legs = legs
        }
    }

    final class Dog: Animal {
        var breed: String
        var friends: [Animal]
        init(name: String, breed: String, friends: [Animal]) {
            self.breed = breed
            self.friends = friends
            super.init(name: name, legs: 4)
        }
        private enum CodingKeys: String, CodingKey { case breed, friends }
        required init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            breed = try container.decode(String.self, forKey: .breed)
            friends = try container.decode([Animal].self, forKey: .friends)
            try super.init(from: container.superDecoder())
        }
        override func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try super.encode(to: container.superEncoder())
            try container.encode(breed, forKey: .breed)
            try container.encode(friends, forKey: .friends)
        }
    }

    /// Shares its superclass's container.
    final class Cat: Animal {
        var lives = 9
        private enum CodingKeys: String, CodingKey { case lives }
        init() { super.init(name: "cat", legs: 4) }
        required init(from decoder: any Decoder) throws {
            lives = try decoder.container(keyedBy: CodingKeys.self).decode(Int.self, forKey: .lives)
            try super.init(from: decoder)
        }
        override func encode(to encoder: any Encoder) throws {
            try super.encode(to: encoder)
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(lives, forKey: .lives)
        }
    }

    @Test func classesWithSuperclasses() throws {
        let dog = try there(Dog(name: "Rex", breed: "mutt", friends: [Animal(name: "a bird", legs: 2), Cat()]))
        #expect(dog.name == "Rex" && dog.legs == 4 && dog.breed == "mutt")
        #expect(dog.friends.map(\.name) == ["a bird", "cat"])
        let cat = try there(Cat())
        #expect(cat.name == "cat" && cat.legs == 4 && cat.lives == 9)
    }

    indirect enum Tree: Codable, Equatable {
        case leaf
        case value(Int)
        case node(left: Tree, right: Tree)
    }
    enum Color: String, Codable { case red, green }

    @Test func enumsWithAndWithoutPayload() throws {
        #expect(try there(Tree.leaf) == .leaf)
        let tree = Tree.node(left: .node(left: .value(1), right: .leaf), right: .value(-2))
        #expect(try there(tree) == tree)
        #expect(try there([Color.red, .green]) == [.red, .green])
        #expect(try there([Color.red: 1]) == [.red: 1])
        #expect(throws: DecodingError.self) { try decoded(Color.self, encoded("blue")) }
    }

    @Test func errorsOfTheUserPassUnchanged() throws {
        #expect(throws: UserError(number: 3)) { try encoded([Written { _ in throw UserError(number: 3) }]) }
        #expect(throws: UserError(number: 4)) { try reading(encoded(1)) { _ in throw UserError(number: 4) } }
    }

    @Test func aFailedValueLeavesNothingBehind() throws {
        let failing = Written { encoder in
            var container = encoder.container(keyedBy: AnyKey.self)
            try container.encode("a long enough text to matter", forKey: "text")
            var list = container.nestedUnkeyedContainer(forKey: "list")
            try list.encode(1)
            throw UserError()
        }
        let writer = HeapByteWriter()
        try encodeBinary(1, to: writer)
        let before = writer.count
        #expect(throws: UserError.self) { try encodeBinary(failing, to: writer) }
        #expect(writer.count == before)
        // Caught in mid-encoding, it costs only itself.
        let bytes = try encoded(
            Written { encoder in
                var container = encoder.unkeyedContainer()
                try container.encode("before")
                let values: [any Encodable] = [failing, 7, [failing]]
                for value in values {
                    do { try container.encode(value) } catch is UserError { try container.encode("replaced") }
                }
                try container.encode("after")
            })
        try reading(bytes) { decoder in
            var container = try decoder.unkeyedContainer()
            #expect(try container.decode(String.self) == "before")
            #expect(try container.decode(String.self) == "replaced")
            #expect(try container.decode(Int.self) == 7)
            #expect(try container.decode(String.self) == "replaced")
            #expect(try container.decode(String.self) == "after")
            #expect(container.isAtEnd)
        }
    }
}
