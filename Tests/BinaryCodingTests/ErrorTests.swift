import BinaryCoding
import Testing

struct ErrorTests {
    struct Outer: Codable { var name: String; var items: [Item] }
    struct Item: Codable { var value: Int }
    struct OtherOuter: Codable { var name: String; var items: [OtherItem] }
    struct OtherItem: Codable { var value: String }

    private func context(_ body: () throws -> Void) throws -> (path: [String], text: String) {
        do { try body() } catch let error as DecodingError {
            switch error {
            case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context), .dataCorrupted(let context):
                return (context.codingPath.map(\.stringValue), context.debugDescription)
            @unknown default: break
            }
        } catch EncodingError.invalidValue(_, let context) {
            return (context.codingPath.map(\.stringValue), context.debugDescription)
        }
        Issue.record("nothing was thrown")
        return ([], "")
    }

    @Test func decodingErrorsSayWhere() throws {
        let bytes = try encoded(Outer(name: "n", items: [Item(value: 1), Item(value: 2)]))
        let mismatch = try context { _ = try decoded(OtherOuter.self, bytes) }
        #expect(mismatch.path == ["items", "Index 0", "value"])
        #expect(mismatch.text.contains("String"))
        let missing = try context { _ = try decoded([Item].self, encoded([["other": 1]])) }
        #expect(missing.path == ["Index 0"])
        #expect(missing.text.contains("value"))
        let null = try context { _ = try decoded([String: Int].self, encoded(["a": Int?.none])) }
        #expect(null.path == ["a"])
        #expect(null.text.contains("nil"))
        let inArray = try context { _ = try decoded([String: [Int]].self, encoded(["a": [1.5]])) }
        #expect(inArray.path == ["a", "Index 0"])
        let nested = try context {
            try reading(encoded(["a": ["b": 1]])) { decoder in
                let outer = try decoder.container(keyedBy: AnyKey.self)
                let inner = try outer.nestedContainer(keyedBy: AnyKey.self, forKey: "a")
                #expect(inner.codingPath.map(\.stringValue) == ["a"])
                _ = try inner.decode(String.self, forKey: "b")
            }
        }
        #expect(nested.path == ["a", "b"])
    }

    @Test func encodersKnowTheirPath() throws {
        struct Probe: Encodable {
            let expected: [String]
            func encode(to encoder: any Encoder) throws {
                #expect(encoder.codingPath.map(\.stringValue) == expected)
                #expect(encoder.userInfo.isEmpty)
                #expect(encoder.singleValueContainer().codingPath.map(\.stringValue) == expected)
            }
        }
        _ = try encoded(Probe(expected: []))
        _ = try encoded(["a": [Probe(expected: ["a", "Index 0"])]])
        _ = try encoded(
            Written { encoder in
                var container = encoder.container(keyedBy: AnyKey.self)
                try container.encode(Probe?.some(Probe(expected: ["p"])), forKey: "p")
                try Probe(expected: ["super"]).encode(to: container.superEncoder())
                var list = container.nestedUnkeyedContainer(forKey: "list")
                try list.encode(1)
                #expect(list.codingPath.map(\.stringValue) == ["list"])
                try list.encode(Probe(expected: ["list", "Index 1"]))
                var deeper = list.nestedContainer(keyedBy: AnyKey.self)
                try deeper.encode(Probe(expected: ["list", "Index 2", "k"]), forKey: "k")
            })
        let failure = try context {
            _ = try encoded(
                Written { encoder in
                    var container = encoder.container(keyedBy: AnyKey.self)
                    try container.encode(Written { _ = ($0.unkeyedContainer(), $0.container(keyedBy: AnyKey.self)) }, forKey: "where")
                })
        }
        #expect(failure.path == ["where"])
    }

    @Test func anEncoderKeptTooLongIsHarmless() throws {
        final class Kept: Encodable {
            nonisolated(unsafe) static var encoder: (any Encoder)?
            nonisolated(unsafe) static var keyed: KeyedEncodingContainer<AnyKey>?
            nonisolated(unsafe) static var nested: (any UnkeyedEncodingContainer)?
            func encode(to encoder: any Encoder) throws {
                Self.encoder = encoder
                var keyed = encoder.container(keyedBy: AnyKey.self)
                Self.nested = keyed.nestedUnkeyedContainer(forKey: "nested")
                Self.keyed = keyed
            }
        }
        defer { (Kept.encoder, Kept.keyed, Kept.nested) = (nil, nil, nil) }
        func use() throws {
            guard let encoder = Kept.encoder else { throw UserError() }
            #expect(throws: EncodingError.self) { try Kept.keyed?.encode(1, forKey: "late") }
            #expect(throws: EncodingError.self) { try Kept.keyed?.encode(["x"], forKey: "late") }
            #expect(throws: EncodingError.self) { try Kept.nested?.encode("late") }
            #expect(throws: EncodingError.self) { try 1.encode(to: encoder) }
            #expect(throws: EncodingError.self) { try [1].encode(to: encoder) }
            _ = Kept.keyed?.superEncoder()
            _ = Kept.nested?.nestedUnkeyedContainer()
            #expect(encoder.codingPath.isEmpty)
        }
        let alone = try encoded(Kept())
        try use()
        // While the value around it is still being encoded, other records may have taken its place.
        let bytes = try encoded(
            Written { encoder in
                var container = encoder.unkeyedContainer()
                try container.encode(Kept())
                try container.encode(
                    Written { encoder in
                        var container = encoder.unkeyedContainer()
                        #expect(throws: EncodingError.self) { try Kept.nested?.encode("late") }
                        #expect(throws: EncodingError.self) { try Kept.keyed?.encode(1, forKey: "late") }
                        try container.encode(1)
                    })
            })
        #expect(bytes.count == 8 + alone.count + 17)
    }

    @Test func aContainerIsNotWrittenFromInsideAValueInIt() throws {
        #expect(throws: EncodingError.self) {
            try encoded(
                Written { encoder in
                    let container = encoder.unkeyedContainer()
                    var outer = container
                    try outer.encode(
                        Written { _ in
                            var sneaky = container
                            try sneaky.encode(1)
                        })
                })
        }
    }

    /// Keeps its decoder, as some code does to decode later.
    struct Deferred: Decodable {
        let decoder: any Decoder
        init(from decoder: any Decoder) throws { self.decoder = decoder }
    }

    @Test func aDecoderMayBeKeptAsLongAsTheDecodingRuns() throws {
        let kept = try reading(encoded(["a": ["b": 1]])) { decoder in
            let inner = try decoder.singleValueContainer().decode([String: Deferred].self)["a"]
            let deferred = try #require(inner)
            #expect(try [String: Int](from: deferred.decoder) == ["b": 1])
            return deferred
        }
        #expect(throws: DecodingError.self) { try [String: Int](from: kept.decoder) }
        #expect(throws: DecodingError.self) { try Int(from: kept.decoder) }
        #expect(throws: DecodingError.self) { try kept.decoder.unkeyedContainer() }
    }

    /// A writer that has no more memory after a while.
    private final class SmallWriter: ByteWriter {
        struct Full: Error {}
        override func grow(minimumCapacity: Int) throws -> UnsafeMutableRawBufferPointer { throw Full() }
    }

    @Test(arguments: 0..<120) func aWriterWithoutMemoryLeavesNothing(_ size: Int) throws {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
        defer { memory.deallocate() }
        let writer = SmallWriter(memory)
        let value = Outer(name: "a name of some length", items: [Item(value: 1), Item(value: 2)])
        let needed = try encoded(value).count
        do {
            try encodeBinary(value, to: writer)
            #expect(needed <= size)
            #expect(writer.count == needed)
        } catch is SmallWriter.Full {
            #expect(writer.count == 0)
        }
    }

    @Test func sharedObjectsSendTheirPlace() throws {
        let object = Shared(handle: 0xABCD)
        let writer = HeapByteWriter()
        try encodeBinary(["k": [object, object]], to: writer)
        #expect(writer.retained.count == 2)
        #expect(writer.retained.allSatisfy { $0 === object })
        let copy = try decoded([String: [Shared]].self, writer.bytes)
        #expect(copy["k"]?.map(\.handle) == [0xABCD, 0xABCD])
        try encodeBinary(object, to: writer)
        #expect(writer.retained.count == 3)
        #expect(throws: UserError.self) {
            try encodeBinary([Written { try object.encode(to: $0) }, Written { _ in throw UserError() }], to: writer)
        }
        #expect(writer.retained.count == 3)
        #expect(throws: DecodingError.self) { try decoded(Shared.self, encoded(5)) }
        #expect(throws: DecodingError.self) { try decoded(Int.self, encoded(object)) }
    }

    final class Shared: Codable {
        let handle: UInt64
        init(handle: UInt64) { self.handle = handle }
        init(from decoder: any Decoder) throws {
            guard let decoder = decoder as? any SharedHandleDecoder else { throw UserError() }
            handle = try decoder.decodeHandle()
        }
        func encode(to encoder: any Encoder) throws {
            guard let encoder = encoder as? any SharedHandleEncoder else { throw UserError() }
            try encoder.encode(handle: handle, of: self)
        }
    }
}
