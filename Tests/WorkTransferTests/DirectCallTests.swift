import BinaryCoding
import Glibc
import Testing

@testable import WorkTransfer

/// Functions of numbers and strings are called without their general form: they must not be able to tell.
struct DirectCallTests {
    private enum Failure: Error, Equatable { case expected(Int) }

    /// The function as a worker has it, called on what `encode` writes. Several times, as what is freed too often or not at all shows later.
    private func call(
        _ invocation: some HostInvocation, directly: Bool = true, _ encode: (ByteWriter) throws -> Void
    ) throws -> [UInt8] {
        let resolved = try invocation.describe().withUnsafeBytes { try resolveInvocation($0) }
        #expect(resolved.isDirect == directly)
        let arguments = HeapByteWriter()
        try encode(arguments)
        var results: [[UInt8]] = []
        for _ in 0..<20 {
            var reader = ByteReader(arguments.written)
            let result = HeapByteWriter(capacity: 1)
            try resolved.invoke(arguments: &reader, result: result)
            #expect(reader.remaining == 0)
            results.append(result.bytes)
        }
        #expect(Set(results).count == 1)
        return results[0]
    }

    private func decoded<R: Codable & Sendable>(_ bytes: [UInt8], as type: R.Type = R.self) throws -> R {
        try bytes.withUnsafeBytes {
            var reader = ByteReader($0)
            let value = try UnaryInvocation<Int, R>.decodeOutput(from: &reader)
            #expect(reader.remaining == 0)
            return value
        }
    }

    private func travels<T: Codable & Sendable & Equatable>(_ values: T...) throws {
        for value in values {
            let packed = try call(Invocation { (value: T) in value }) { try Invocation<T, T>.encodeArguments(value, to: $0) }
            #expect(try decoded(packed) == value)
            let unary = try call(UnaryInvocation { (value: T) in value }) { try UnaryInvocation<T, T>.encodeArguments(value, to: $0) }
            #expect(unary == packed)
            // Behind a neighbour of one byte and before a string, so that nothing is where it would be by chance.
            let between = try call(Invocation { (_: Bool, value: T, _: String) in value }) {
                try Invocation<Bool, T, String, T>.encodeArguments(true, value, "behind", to: $0)
            }
            #expect(between == packed)
        }
    }

    private struct Pair: Codable, Equatable, RawTransferable { var a: Float, b: Int }

    @Test func leavesOfAllTypes() throws {
        try travels(Int.min, -1, 0, .max)
        try travels(Int8.min, .max)
        try travels(Int16.min, .max)
        try travels(Int32.min, .max)
        try travels(Int64.min, .max)
        try travels(Int128.min, -1, .max)
        try travels(UInt.max)
        try travels(UInt8.max)
        try travels(UInt16.max)
        try travels(UInt32.max)
        try travels(UInt64.max)
        try travels(UInt128.max)
        try travels(Float16(1.5), -.infinity)
        try travels(Float(1.5), -.infinity)
        try travels(1.5, -.infinity, .leastNonzeroMagnitude)
        try travels(true, false)
        try travels(SIMD2<Int8>(1, -1))
        try travels(SIMD2<Float>(1.5, -0.5))
        try travels(SIMD4<Float>(1, 2, 3, .infinity))
        try travels(SIMD2<UInt64>(1, .max))
        try travels(Pair(a: 1, b: -1))
        try travels("", "short", "long enough to lie on the heap, é🎈", String(repeating: "very long", count: 1000))
    }

    @Test func everyNumberOfArguments() throws {
        #expect(try decoded(call(Invocation { 42 }) { _ in }) == 42)
        #expect(try decoded(call(Invocation { "nothing to be done" }) { _ in }) == "nothing to be done")
        let two = try call(Invocation { (a: Double, b: Int) in a * Double(b) }) {
            try Invocation<Double, Int, Double>.encodeArguments(1.5, 3, to: $0)
        }
        #expect(try decoded(two) == 4.5)
        let three = try call(Invocation { (a: Int8, b: Int128, c: Float) in "\(a) \(b) \(c)" }) {
            try Invocation<Int8, Int128, Float, String>.encodeArguments(-1, .max, 0.5, to: $0)
        }
        #expect(try decoded(three) == "-1 \(Int128.max) 0.5")
        let four = try call(Invocation { (a: Int, b: Int, c: Int, d: Int) in a * b * c * d }, directly: false) {
            try Invocation<Int, Int, Int, Int, Int>.encodeArguments(2, 3, 5, 7, to: $0)
        }
        #expect(try decoded(four) == 210)
    }

    @Test func functionsWithoutAResult() throws {
        let one = try call(VoidInvocation { (a: Int) in precondition(a == 5) }) { try VoidInvocation<Int>.encodeArguments(5, to: $0) }
        #expect(one == [])
        let unary = try call(UnaryVoidInvocation { (a: String) in precondition(a == "five") }) {
            try UnaryVoidInvocation<String>.encodeArguments("five", to: $0)
        }
        #expect(unary == [])
        let two = try call(VoidInvocation { (a: Bool, b: String) in precondition(a && b == "a string that lies on the heap") }) {
            try VoidInvocation<Bool, String>.encodeArguments(true, "a string that lies on the heap", to: $0)
        }
        #expect(two == [])
        let three = try call(VoidInvocation { (a: Int, b: Int, c: Int) in precondition([a, b, c] == [1, 2, 3]) }) {
            try VoidInvocation<Int, Int, Int>.encodeArguments(1, 2, 3, to: $0)
        }
        #expect(three == [])
        let none = try call(VoidInvocation {}) { _ in }
        #expect(none == [])
    }

    @Test func theFunctionsErrorIsItsOwn() throws {
        func thrown(_ invocation: some HostInvocation, _ encode: (ByteWriter) throws -> Void) throws -> Failure? {
            do {
                _ = try call(invocation, encode)
            } catch InvocationFailure.thrown(let error) {
                return error as? Failure
            }
            return nil
        }
        #expect(
            try thrown(Invocation { (n: Int) throws -> Int in throw Failure.expected(n) }) {
                try Invocation<Int, Int>.encodeArguments(3, to: $0)
            } == .expected(3))
        #expect(try thrown(VoidInvocation { () throws in throw Failure.expected(4) }) { _ in } == .expected(4))
        let text = String(repeating: "heap", count: 20)
        #expect(
            try thrown(UnaryInvocation { (s: String) throws -> String in throw Failure.expected(s.utf8.count) }) {
                try UnaryInvocation<String, String>.encodeArguments(text, to: $0)
            } == .expected(80))
    }

    /// What is no plain value of the right type is the general form's affair, whose errors name the place.
    @Test func argumentsThatAreNotAsExpected() throws {
        let other = try call(Invocation { (a: String, b: Int) in a + String(b) }) {
            try encodeBinary("n", to: $0)
            try encodeBinary(Int8(-5), to: $0)
        }
        #expect(try decoded(other) == "n-5")
        func refusal(_ invocation: some HostInvocation, _ encode: (ByteWriter) throws -> Void) throws -> String? {
            do {
                _ = try call(invocation, encode)
            } catch InvocationFailure.transfer(.cannotDecode(let text)) {
                return text
            }
            return nil
        }
        let text = try refusal(Invocation { (a: String, b: Int, c: Bool) in a }) {
            try encodeBinary("a string that lies on the heap", to: $0)
            try encodeBinary(1, to: $0)
            try encodeBinary(true, to: $0)
            $0.patch(UInt8(77), at: $0.count - 1)
        }
        #expect(text?.contains("argument 3, Swift.Bool") == true)
        #expect(try refusal(UnaryVoidInvocation { (a: String) in }) { try $0.append(contentsOf: [0x40, 2, 0xC0, 0x80]) } != nil)
        #expect(try refusal(Invocation { (a: Int, b: Int) in a }) { try encodeBinary(1, to: $0) }?.contains("argument 2") == true)
        #expect(try refusal(Invocation { (a: Int) in a }) { _ in }?.contains("argument 1") == true)
    }

    /// Bytes that are nearly those of arguments, and random ones. A million of them with `MP_EXTENDED=1`.
    @Test func randomArgumentsNeverTrap() throws {
        let functions = try [
            Invocation { (a: Bool, b: String, c: Int128) in a ? b : "" } as any HostInvocation, Invocation { (a: String) in a.utf8.count },
            UnaryInvocation { (a: Float16) in a }, VoidInvocation { (a: Int, b: UInt8) in }, UnaryVoidInvocation { (a: Bool) in },
        ].map { try $0.describe().withUnsafeBytes { try resolveInvocation($0) } }
        let tags: [UInt8] = [0, 1, 3, 0x10, 0x14, 0x15, 0x18, 0x20, 0x22, 0x40, 0x41, 0x60, 0x61]
        // Its numbers follow from its seed, so that what fails once fails again.
        var state: UInt64 = 5
        func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 24
        }
        let result = HeapByteWriter()
        for _ in 0..<(getenv("MP_EXTENDED").map { String(cString: $0) } == "1" ? 1_000_000 : 20_000) {
            let bytes = (0..<next() % 40).map { _ -> UInt8 in
                let random = next()
                return random & 1 == 0 ? tags[Int(random >> 8) % tags.count] : UInt8(truncatingIfNeeded: random >> 16) & 0x8F
            }
            result.removeAll()
            do {
                try bytes.withUnsafeBytes {
                    var reader = ByteReader($0)
                    try functions[Int(next()) % functions.count].invoke(arguments: &reader, result: result)
                }
            } catch InvocationFailure.transfer(.cannotDecode) {
            } catch {
                Issue.record("\(error) from \(bytes)")
            }
        }
    }

    /// Every way in which a value can end before its time.
    @Test func truncatedArgumentsAreErrors() throws {
        let resolved = try Invocation { (a: Int, b: String, c: UInt16) in b }.describe().withUnsafeBytes { try resolveInvocation($0) }
        let whole = HeapByteWriter()
        try Invocation<Int, String, UInt16, String>.encodeArguments(1, "text", 2, to: whole)
        for length in 0..<whole.count {
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: whole.written[..<length]))
            #expect(throws: InvocationFailure.self) { try resolved.invoke(arguments: &reader, result: HeapByteWriter()) }
            #expect(reader.remaining <= length)
        }
    }
}

extension ByteWriter {
    fileprivate func append(contentsOf bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try append(contentsOf: $0) } }
}
