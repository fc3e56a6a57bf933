import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// What may be an argument, a result or an error, and how.
    @Suite struct TransferTests {
        private struct Hidden: Codable, Equatable, Sendable {
            var name: String
            var inner: [Int?]
        }
        private enum HiddenError: Error, Codable, Equatable { case first(Int), second }
        private struct Box<T: Codable & Sendable>: Codable, Sendable { var content: T }

        @Test(arguments: StartMethod.all) func privateTypes(method: StartMethod) throws {
            try withPool(processes: 1, configuration: .init(method)) { pool in
                let value = Hidden(name: "a", inner: [1, nil])
                try #expect(pool.apply({ Hidden(name: $0.name + "b", inner: $0.inner) }, value) == Hidden(name: "ab", inner: [1, nil]))
                try #expect(pool.apply({ $0.mapValues { $0.content } }, ["k": Box(content: value)]) == ["k": value])
                #expect(throws: HiddenError.first(3)) { try pool.apply { throw HiddenError.first(3) } }
            }
        }

        @Test(arguments: StartMethod.all) func localTypes(method: StartMethod) throws {
            struct Local: Codable, Equatable, Sendable { var n: Int }
            enum LocalError: Error, Codable, Equatable { case bad(Local) }
            try withPool(processes: 1, configuration: .init(method)) { pool in
                try #expect(pool.apply({ Local(n: $0.n + 1) }, Local(n: 1)) == Local(n: 2))
                #expect(throws: LocalError.bad(Local(n: 4))) { try pool.apply({ throw LocalError.bad($0) }, Local(n: 4)) }
            }
        }

        @Test func valueThatCannotBeEncodedFailsItsTaskAlone() throws {
            try withPool(processes: 1) { pool in
                let argument = pool.applyAsync({ (_: Unwilling) in 1 }, Unwilling(encodes: false))
                let result = pool.applyAsync { Unwilling(encodes: false) }
                let decoded = pool.applyAsync({ (_: Unwilling) in 1 }, Unwilling(encodes: true))
                let other = pool.applyAsync(double, 2)
                for future in [argument, decoded] {
                    let error = try errorThrown(TransferError.self) { try future.get() }
                    #expect(error.description.contains("Unwilling"))
                }
                let error = try errorThrown(TransferError.self) { try result.get() }
                guard case .cannotEncode(let text) = error else { throw error }
                #expect(text.contains("Unwilling"))
                try #expect(other.get() == 4)
            }
        }

        @Test func captureIsRefusedPerTask() throws {
            try withPool(processes: 1) { pool in
                let n = Int.random(in: 0...3)
                let error = try errorThrown(TransferError.self) { try pool.apply { n } }
                guard case .capturesState = error else { throw error }
                try #expect(pool.apply({ $0 }, n) == n)
            }
        }

        @Test func functionsInVariablesTravel() throws {
            try withPool(processes: 1) { pool in
                let functions: [@Sendable (Int) throws -> Int] = [double, { $0 - 1 }, refuseOdd]
                try #expect(functions.map { try pool.apply($0, 10) } == [20, 9, 10])
            }
        }

        @Test func textsAndCollections() throws {
            try withPool(processes: 1) { pool in
                let value: [String: [Double?]] = ["": [], "ä\u{0}😀": [1.5, nil, -.infinity]]
                try #expect(pool.apply({ $0 }, value) == value)
                try #expect(pool.apply({ $0 }, Optional<Int>.none) == nil)
                try #expect(pool.apply({ $0 }, Set(0..<1000)) == Set(0..<1000))
                let text = String(repeating: "x", count: 5 << 20)
                try #expect(pool.apply({ $0 }, text) == text)
            }
        }
    }
}

/// A value that does not go in, or else does not come out.
private struct Unwilling: Codable, Sendable {
    let encodes: Bool
    init(encodes: Bool) { self.encodes = encodes }
    func encode(to encoder: any Encoder) throws {
        if !encodes {
            throw EncodingError.invalidValue(self, .init(codingPath: encoder.codingPath, debugDescription: "it does not want to"))
        }
        var container = encoder.singleValueContainer()
        try container.encode(1)
    }
    init(from decoder: any Decoder) throws {
        throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "it does not want to"))
    }
}
