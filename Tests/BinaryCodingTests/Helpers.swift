import BinaryCoding
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#endif

func encoded<T: Encodable>(_ value: T) throws -> [UInt8] {
    let writer = HeapByteWriter()
    try encodeBinary(value, to: writer)
    return writer.bytes
}

/// Decodes a `T` that takes up all of `bytes`.
func decoded<T: Decodable>(_ type: T.Type = T.self, _ bytes: [UInt8]) throws -> T {
    try bytes.withUnsafeBytes { buffer in
        var reader = ByteReader(buffer)
        let value = try decodeBinary(T.self, from: &reader)
        #expect(reader.remaining == 0, "a \(T.self) did not take all its bytes")
        return value
    }
}

func there<T: Codable>(_ value: T) throws -> T { try decoded(T.self, encoded(value)) }

/// Encodes what `write` writes, for encodings no ordinary type makes.
struct Written: Encodable {
    let write: (any Encoder) throws -> Void
    func encode(to encoder: any Encoder) throws { try write(encoder) }
}

/// A key with any string and, if it is given, any integer.
struct AnyKey: CodingKey, ExpressibleByStringLiteral, Hashable {
    var stringValue: String
    var intValue: Int?
    init(_ string: String, _ int: Int? = nil) {
        stringValue = string
        intValue = int
    }
    init(stringLiteral value: String) { self.init(value) }
    init(stringValue: String) { self.init(stringValue) }
    init(intValue: Int) { self.init(String(intValue), intValue) }
}

/// Runs `read` on a decoder of `bytes`, and returns what it returns.
func reading<R>(_ bytes: [UInt8], _ read: (any Decoder) throws -> R) throws -> R {
    try withoutActuallyEscaping(read) { read in
        try Reading.turn.withLock { _ in
            Reading.body = read
            defer { Reading.body = { _ in () } }
            return try #require(decoded(Reading.self, bytes).result as? R)
        }
    }
}

/// A type whose `init(from:)` is whatever the test that has its turn wants it to be.
private struct Reading: Decodable {
    static let turn = Mutex(())
    nonisolated(unsafe) static var body: (any Decoder) throws -> Any = { _ in () }
    let result: Any
    init(from decoder: any Decoder) throws { result = try Self.body(decoder) }
}

struct UserError: Error, Equatable { var number = 1 }

/// How often tests on random input repeat themselves.
enum Rounds {
    /// `quick`, or, with `MP_EXTENDED=1` in the environment, more than a million.
    static func count(_ quick: Int) -> Int { getenv("MP_EXTENDED").map { String(cString: $0) } == "1" ? 1_500_000 : quick }
}

/// A generator whose numbers follow from its seed, so that a failing test can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
