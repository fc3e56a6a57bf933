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

    /// Vectors that have to lie at a multiple of 64: as far as the writer's memory lies there.
    @Test(arguments: [0, 1, 63, 64]) func vectorsAreAligned(_ before: Int) throws {
        let vectors = (0..<100).map { SIMD16<Float>(repeating: Float($0)) }
        let writer = HeapByteWriter(capacity: 1)
        for _ in 0..<before { try encodeBinary(Int?.none, to: writer) }
        try encodeBinary(vectors, to: writer)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: writer.count, alignment: 64)
        defer { memory.deallocate() }
        memory.copyMemory(from: writer.written)
        var reader = ByteReader(UnsafeRawBufferPointer(memory))
        for _ in 0..<before { _ = try decodeBinary(Int?.self, from: &reader) }
        #expect(reader.borrowArray(of: SIMD16<Float>.self).map(Array.init) == vectors)
        #expect(reader.remaining == 0)
    }

    /// From 32 MiB on, memory is taken in pieces: none is left out or done twice, wherever they end.
    @Test(arguments: [(32 << 20) - 1, 32 << 20, (32 << 20) + 1, 35_651_585]) func largeArraysAreCopiedWhole(_ count: Int) throws {
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { room, initialized in
            for i in 0..<count { room[i] = UInt8(truncatingIfNeeded: i &* 7 ^ (i >> 12)) }
            initialized = count
        }
        let writer = HeapByteWriter(capacity: 1)
        try encodeBinary(bytes, to: writer)
        var reader = ByteReader(writer.written)
        #expect(try decodeBinary([UInt8].self, from: &reader) == bytes)
    }

    @Test func whatNeedsCheckingIsNotBorrowed() throws {
        let writer = HeapByteWriter()
        try encodeBinary([Bool](repeating: true, count: 5000), to: writer)
        var reader = ByteReader(writer.written)
        let asBool = reader.borrowArray(of: Bool.self)
        #expect(asBool?.count == nil)
    }
}
