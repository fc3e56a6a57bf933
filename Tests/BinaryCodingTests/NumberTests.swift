import BinaryCoding
import Testing

struct NumberTests {
    @Test func integersOfAllWidthsKeepTheirExtremes() throws {
        func check<T: FixedWidthInteger & Codable>(_ type: T.Type) throws {
            for value in [T.min, T.max, 0, 1] {
                #expect(try there(value) == value)
                #expect(try there([value, value]) == [value, value])
                #expect(try there(["key": value]) == ["key": value])
                #expect(try there(T?.some(value)) == value)
            }
        }
        try check(Int.self); try check(Int8.self); try check(Int16.self); try check(Int32.self); try check(Int64.self);
        try check(Int128.self)
        try check(UInt.self); try check(UInt8.self); try check(UInt16.self); try check(UInt32.self); try check(UInt64.self);
        try check(UInt128.self)
    }

    @Test func floatsKeepEveryBit() throws {
        let odd = [
            0.0, -0.0, .infinity, -.infinity, .leastNonzeroMagnitude, .greatestFiniteMagnitude, Double(nan: 0x1234, signaling: false),
            Double(nan: 7, signaling: true),
        ]
        for value in odd {
            #expect(try there(value).bitPattern == value.bitPattern)
            #expect(try there([value])[0].bitPattern == value.bitPattern)
            #expect(try there(Pair(first: value, second: 1)).first.bitPattern == value.bitPattern)
        }
        #expect(try there(Float(nan: 0x55, signaling: false)).bitPattern == Float(nan: 0x55, signaling: false).bitPattern)
        #expect(try there(Float16(-0.0)).bitPattern == Float16(-0.0).bitPattern)
        #expect(try there([Float16(1.5), .nan])[1].isNaN)
    }

    struct Pair: Codable { var first: Double; var second: Int }

    @Test func vectorsTravelAsBytes() throws {
        let vector = SIMD3<Float>(1, -0.0, .infinity)
        #expect(try there(vector) == vector)
        let many = (0..<100).map { SIMD4<Int32>(Int32($0), 1, 2, -3) }
        #expect(try there(many) == many)
        #expect(try there(SIMD64<UInt8>(repeating: 7)) == SIMD64(repeating: 7))
        #expect(try there(["v": SIMD2<Double>(1, 2)]) == ["v": SIMD2(1, 2)])
        // A vector's own encode(to:) would write a container of numbers.
        #expect(try encoded(SIMD2<Double>(1, 2)).count == 17)
        #expect(try encoded(SIMD4<Double>.zero).count == 5 + 32)
    }

    struct Small<Number: BitwiseCopyable & Codable & Equatable>: Codable, RawTransferable, Equatable { var a: Number; var b: Number }

    /// As many bytes as a number has, which are handled as that number is.
    @Test func smallRawValues() throws {
        func check<Number: BinaryInteger & BitwiseCopyable & Codable>(_ type: Number.Type, bytes: Int) throws {
            let value = Small<Number>(a: 1, b: 100)
            #expect(try encoded(value).count == bytes)
            #expect(try there(value) == value)
            #expect(try there([value, value]) == [value, value])
            #expect(try there(["a": value]) == ["a": value])
            #expect(try there(Small<Number>?.some(value)) == value)
            for end in 0..<bytes { #expect(throws: DecodingError.self) { try decoded(Small<Number>.self, Array(encoded(value)[..<end])) } }
            // It is no number, and none of another size.
            #expect(throws: DecodingError.self) { try decoded(Int64.self, encoded(value)) }
            #expect(throws: DecodingError.self) { try decoded(Small<Number>.self, encoded(SIMD4<Int64>.zero)) }
            let second = try reading(encoded([value, value])) { decoder in
                var container = try decoder.unkeyedContainer()
                _ = try container.decode(Small<Number>.self)
                return try container.decode(Small<Number>.self)
            }
            #expect(second == value)
        }
        try check(Int8.self, bytes: 3)
        try check(Int16.self, bytes: 5)
        try check(Int32.self, bytes: 9)
        try check(Int64.self, bytes: 17)
    }

    @Test func aByteThatIsNoBoolIsRefused() throws {
        #expect(try there(true))
        #expect(try there([true, false, true]) == [true, false, true])
        var bytes = try encoded(true)
        bytes[1] = 77
        #expect(throws: DecodingError.self) { try decoded(Bool.self, bytes) }
        bytes = try encoded([false, false])
        bytes[bytes.count - 1] = 2
        #expect(throws: DecodingError.self) { try decoded([Bool].self, bytes) }
        bytes = try encoded(["b": true])
        bytes[bytes.count - 1] = 0xFF
        #expect(throws: DecodingError.self) { try decoded([String: Bool].self, bytes) }
    }

    @Test func numbersConvertWhereNothingIsLost() throws {
        #expect(try decoded(Int64.self, encoded(5)) == 5)
        #expect(try decoded(UInt8.self, encoded(Int128(255))) == 255)
        #expect(try decoded(Double.self, encoded(Float(1.5))) == 1.5)
        #expect(try decoded(Double.self, encoded(3)) == 3)
        #expect(try decoded(Int.self, encoded(3.0)) == 3)
        #expect(try decoded(Float.self, encoded(Double.nan)).isNaN)
        #expect(try decoded([Int64].self, encoded([1, 2, 3])) == [1, 2, 3])
        #expect(throws: DecodingError.self) { try decoded(UInt8.self, encoded(256)) }
        #expect(throws: DecodingError.self) { try decoded(UInt.self, encoded(-1)) }
        #expect(throws: DecodingError.self) { try decoded(Int.self, encoded(0.5)) }
        #expect(throws: DecodingError.self) { try decoded(Float.self, encoded(0.1)) }
        #expect(throws: DecodingError.self) { try decoded(Int.self, encoded(Double.infinity)) }
        #expect(throws: DecodingError.self) { try decoded(Bool.self, encoded(1)) }
        #expect(throws: DecodingError.self) { try decoded(Int.self, encoded(true)) }
    }

    struct Particle: Codable, RawTransferable, Equatable { var position: SIMD2<Float>; var mass: Double; var kind: UInt8 }

    @Test func typesThatOptInTravelAsBytes() throws {
        let particle = Particle(position: [1, 2], mass: 3, kind: 4)
        #expect(try encoded(particle).count == 5 + MemoryLayout<Particle>.size)
        #expect(try there(particle) == particle)
        #expect(try there(Array(repeating: particle, count: 100)) == Array(repeating: particle, count: 100))
        #expect(try there(Particle?.some(particle)) == particle)
        #expect(try there(["p": [particle]]) == ["p": [particle]])
        #expect(throws: DecodingError.self) { try decoded(Particle.self, encoded(SIMD2<Float>(1, 2))) }
        // Also one by one, from an array written whole.
        let second = try reading(encoded([particle, particle])) { decoder in
            var container = try decoder.unkeyedContainer()
            _ = try container.decode(Particle.self)
            return try container.decode(Particle.self)
        }
        #expect(second == particle)
    }
}
