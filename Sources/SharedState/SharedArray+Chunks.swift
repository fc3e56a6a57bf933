/// Parts of a shared array, for processes that each work on a part of their own.
extension SharedArray {
    /// Some neighbouring elements of a shared array, as an argument for the process that is to work on them.
    ///
    /// It holds the array as a handle does, and travels as one. Parts that do not overlap need no lock.
    public struct Chunk: Codable, Sendable {
        /// The array that this is a part of.
        public let array: SharedArray<T>
        /// Which of its elements.
        public let range: Range<Int>

        fileprivate init(_ array: SharedArray<T>, _ range: Range<Int>) {
            self.array = array
            self.range = range
        }

        /// How many elements there are.
        @inlinable public var count: Int { range.count }

        /// Calls `body` with the elements, in place, and **without the array's lock**: nobody else may write to them meanwhile, and whoever reads them may see a
        /// change half made. Index 0 is the first of the chunk.
        @inlinable
        public func withMutableSpan<R>(_ body: (inout MutableSpan<T>) throws -> R) rethrows -> R {
            try array.withUnsafeMutableBufferPointer { all in
                let part = UnsafeMutableBufferPointer(rebasing: all[range])
                var span = part.mutableSpan
                return try body(&span)
            }
        }

        /// The same for reading.
        @inlinable
        public func withSpan<R>(_ body: (Span<T>) throws -> R) rethrows -> R {
            try array.withUnsafeMutableBufferPointer { all in
                let part = UnsafeBufferPointer(rebasing: all[range])
                return try body(part.span)
            }
        }

        private enum CodingKeys: CodingKey { case array, first, end }

        /// Finds the part that another process of the family has sent. Throws a `DecodingError` elsewhere, and for elements that the array does not have.
        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            array = try container.decode(SharedArray<T>.self, forKey: .array)
            let (first, end) = (try container.decode(Int.self, forKey: .first), try container.decode(Int.self, forKey: .end))
            guard first >= 0, end >= first, end <= array.count else {
                throw DecodingError.dataCorrupted(
                    DecodingError.Context(
                        codingPath: decoder.codingPath,
                        debugDescription: "Elements \(first) to \(end) are no part of a SharedArray of \(array.count) elements."))
            }
            range = first..<end
        }

        /// Writes the array's place in shared memory, and which part it is. Throws an `EncodingError` for anything but a message to a process of the family.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(array, forKey: .array)
            try container.encode(range.lowerBound, forKey: .first)
            try container.encode(range.upperBound, forKey: .end)
        }
    }

    /// The part that `range` says. A range that reaches past the array ends the process.
    public func chunk(_ range: Range<Int>) -> Chunk {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "elements \(range) of a SharedArray of \(count) elements")
        return Chunk(self, range)
    }

    /// The whole array in parts of `size` elements, of which the last may have fewer. None for an empty array.
    /// - Precondition: `size` is 1 or more.
    public func chunks(ofCount size: Int) -> [Chunk] {
        precondition(size >= 1, "chunks of \(size) elements: ask for 1 or more")
        return stride(from: 0, to: count, by: size).map { Chunk(self, $0..<min(count, $0 + min(size, count - $0))) }
    }

    /// The whole array in `parts` parts whose sizes differ by one element at most. Some are empty where there are fewer elements than parts.
    /// - Precondition: `parts` is 1 or more.
    public func evenlyChunked(in parts: Int) -> [Chunk] {
        precondition(parts >= 1, "an array in \(parts) parts: ask for 1 or more")
        let (size, rest) = count.quotientAndRemainder(dividingBy: parts)
        // The first `rest` parts have one more.
        return (0..<parts).map { part in
            let first = part * size + min(part, rest)
            return Chunk(self, first..<first + size + (part < rest ? 1 : 0))
        }
    }
}
