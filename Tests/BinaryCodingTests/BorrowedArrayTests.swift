import BinaryCoding
import Testing

struct BorrowedArrayTests {
    @Test(arguments: [0, 1, 2, 3, 15, 16, 17]) func largeArraysAreReadInPlace(_ before: Int) throws {
        let numbers = (0..<1000).map { Double($0) }
        let writer = HeapByteWriter(capacity: 1)
        for _ in 0..<before { try encodeBinary(Int?.none, to: writer) }
        try encodeBinary(numbers, to: writer)
        try encodeBinary("behind", to: writer)
        var reader = ByteReader(writer.written)
        for _ in 0..<before { _ = try decodeBinary(Int?.self, from: &reader) }
        let start = reader.offset
        // Of another type: nil, and the reader stays.
        let asInt = reader.borrowArray(of: Int.self)
        #expect(asInt?.count == nil)
        let asString = reader.borrowArray(of: String.self)
        #expect(asString?.count == nil)
        #expect(reader.offset == start)
        let elements = reader.borrowArray(of: Double.self)
        #expect(elements.map(Array.init) == numbers)
        #expect(try decodeBinary(String.self, from: &reader) == "behind")
    }

    @Test func whatNeedsCheckingIsNotBorrowed() throws {
        let writer = HeapByteWriter()
        try encodeBinary([Bool](repeating: true, count: 5000), to: writer)
        var reader = ByteReader(writer.written)
        let asBool = reader.borrowArray(of: Bool.self)
        #expect(asBool?.count == nil)
    }
}
