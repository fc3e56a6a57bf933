import BinaryCoding
import Testing

struct StandardTypeTests {
    @Test(arguments: [0, 1, 15, 16, 111, 112, 255, 256, 257, 100_000])
    func stringsOfEveryLength(_ count: Int) throws {
        let string = String(repeating: "x", count: count)
        #expect(try there(string) == string)
        #expect(try there([string, "", string]) == [string, "", string])
        #expect(try there([string: string]) == [string: string])
        let wide = String(repeating: "é🎈", count: count / 6)
        #expect(try there(wide) == wide)
    }

    @Test func stringsAreCheckedOnArrival() throws {
        #expect(try there("👨‍👩‍👧") == "👨‍👩‍👧")
        #expect(try there("\0") == "\0")
        #expect(throws: DecodingError.self) { try decoded(String.self, [0x40, 2, 0xC0, 0x80]) }
    }

    @Test func optionalsNestedAnyDepth() throws {
        let values: [Int???] = [nil, .some(nil), .some(.some(nil)), 5]
        for value in values { #expect(try there(value) == value) }
        #expect(try there(values) == values)
        #expect(try there(["a": values[1], "b": values[2]]) == ["a": values[1], "b": values[2]])
        let strings: [String??] = [nil, .some(nil), "a"]
        #expect(try there(strings) == strings)
    }

    struct Nested: Codable, Equatable {
        var plain: Int?
        var twice: Int??
        var list: [Int?]?
    }

    @Test(arguments: [
        Nested(plain: nil, twice: nil, list: nil), Nested(plain: 1, twice: .some(nil), list: [nil, 1]),
        Nested(plain: 1, twice: 2, list: []),
    ])
    func optionalProperties(_ value: Nested) throws { #expect(try there(value) == value) }

    /// Encodes itself as nil, which must not make an optional around it nil.
    struct Nothing: Codable, Equatable {
        init() {}
        init(from decoder: any Decoder) throws { #expect(try decoder.singleValueContainer().decodeNil()) }
        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encodeNil()
        }
    }

    @Test func anOptionalOfWhatEncodesAsNilIsNotNil() throws {
        #expect(try there(Nothing?.some(Nothing())) == Nothing())
        #expect(try there(Nothing??.some(nil)) == .some(nil))
        #expect(try there(Nothing?.none) == nil)
        #expect(try there([Nothing?.some(Nothing()), nil]) == [Nothing(), nil])
    }

    @Test func collectionsOfAllKinds() throws {
        #expect(try there([Int]()) == [])
        #expect(try there([[1, 2], [], [3]]) == [[1, 2], [], [3]])
        #expect(try there(["a", "bb", ""]) == ["a", "bb", ""])
        #expect(try there(Set(0..<1000)) == Set(0..<1000))
        #expect(try there(Set(["x", "y"])) == ["x", "y"])
        #expect(try there(1..<5) == 1..<5)
        #expect(try there(1.5...2) == 1.5...2)
        #expect(try there(ContiguousArray([1, 2])) == [1, 2])
        #expect(try there(Duration.seconds(3)) == .seconds(3))
    }

    struct Point: Codable, Hashable { var x, y: Int }

    @Test func dictionariesWithKeysOfAllKinds() throws {
        #expect(try there(["one": 1, "two": 2]) == ["one": 1, "two": 2])
        #expect(try there([1: "one", -2: "two"]) == [1: "one", -2: "two"])
        #expect(try there([Point(x: 1, y: 2): "p"]) == [Point(x: 1, y: 2): "p"])
        #expect(try there([1.5: [Point(x: 0, y: 0)]]) == [1.5: [Point(x: 0, y: 0)]])
        #expect(try there([String: Int]()) == [:])
        let large = Dictionary(uniqueKeysWithValues: (0..<5000).map { ("key number \($0)", $0) })
        #expect(try there(large) == large)
        let numbered = Dictionary(uniqueKeysWithValues: (0..<5000).map { ($0, String($0)) })
        #expect(try there(numbered) == numbered)
    }

    @Test func valuesFollowEachOtherInOneReader() throws {
        let writer = HeapByteWriter(capacity: 1)
        try encodeBinary(1, to: writer)
        try encodeBinary(Point(x: 1, y: 2), to: writer)
        try encodeBinary("three", to: writer)
        try encodeBinary([4, 5], to: writer)
        try encodeBinary(Int?.none, to: writer)
        var reader = ByteReader(writer.written)
        #expect(try decodeBinary(Int.self, from: &reader) == 1)
        #expect(try decodeBinary(Point.self, from: &reader) == Point(x: 1, y: 2))
        #expect(try decodeBinary(String.self, from: &reader) == "three")
        #expect(try decodeBinary([Int].self, from: &reader) == [4, 5])
        #expect(try decodeBinary(Int?.self, from: &reader) == nil)
        #expect(reader.remaining == 0)
        #expect(throws: DecodingError.self) { try decodeBinary(Int.self, from: &reader) }
    }

    /// A writer in memory of others, which a test may look at.
    private final class BorrowingWriter: ByteWriter {
        struct Full: Error {}
        override func grow(minimumCapacity: Int) throws -> UnsafeMutableRawBufferPointer { throw Full() }
    }

    @Test func aWriterStartsOverInOtherMemory() throws {
        withUnsafeTemporaryAllocation(byteCount: 18, alignment: 16) { memory in
            let first = UnsafeMutableRawBufferPointer(rebasing: memory[..<9])
            let second = UnsafeMutableRawBufferPointer(rebasing: memory[9...])
            let writer = BorrowingWriter(first)
            #expect(throws: Never.self) { try encodeBinary(1, to: writer) }
            writer.retained.append(writer)
            writer.reset(to: second)
            #expect(writer.count == 0 && writer.retained.isEmpty && writer.capacity == 9)
            #expect(throws: Never.self) { try encodeBinary(2, to: writer) }
            #expect(writer.written.baseAddress == UnsafeRawPointer(second.baseAddress))
            #expect(first.loadUnaligned(fromByteOffset: 1, as: Int.self) == 1)
            #expect(throws: BorrowingWriter.Full.self) { try encodeBinary(false, to: writer) }
            writer.reset(to: UnsafeMutableRawBufferPointer(start: nil, count: 0))
            #expect(writer.capacity == 0 && writer.written.isEmpty)
        }
    }
}
