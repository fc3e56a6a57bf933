import BinaryCoding
import Testing

#if canImport(Glibc)
    import Glibc
#endif

struct DepthTests {
    final class Link: Codable {
        var next: Link?
        init(_ next: Link?) { self.next = next }
        // The chain is taken apart one by one: the compiler's deinit would recurse.
        deinit {
            var current = next
            next = nil
            while isKnownUniquelyReferenced(&current) {
                let following = current?.next
                current?.next = nil
                current = following
            }
        }
    }
    indirect enum Nest: Codable { case end, one(Nest) }
    struct Lists: Codable { var inner: [Lists] }

    static func chain(_ length: Int) -> Link {
        var link = Link(nil)
        for _ in 1..<length { link = Link(link) }
        return link
    }

    @Test func hundredsOfLevelsWork() throws {
        var link: Link? = try there(Self.chain(200))
        var length = 0
        while let this = link { (length, link) = (length + 1, this.next) }
        #expect(length == 200)
    }

    /// What `body` returns on a thread with a stack of `size` bytes.
    func onThread<R>(stack size: Int, _ body: @escaping () -> R) -> R? {
        var result: R?
        let call = Call { result = body() }
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, size)
        var thread = pthread_t()
        let started = pthread_create(
            &thread, &attributes,
            { raw in
                if let raw { Unmanaged<Call>.fromOpaque(raw).takeRetainedValue().body() }
                return nil
            }, Unmanaged.passRetained(call).toOpaque())
        guard started == 0 else { return nil }
        pthread_join(thread, nil)
        return result
    }

    private final class Call {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }

    @Test(arguments: [512 << 10, 128 << 10, 8 << 20])
    func tooDeepIsAnErrorOnAnyStack(_ stack: Int) throws {
        let outcome = onThread(stack: stack) { () -> [String] in
            var problems: [String] = []
            func expectEncodingError(_ what: String, _ body: () throws -> Void) {
                do {
                    try body()
                    problems.append("\(what) was encoded")
                } catch is EncodingError {} catch { problems.append("\(what): \(error)") }
            }
            expectEncodingError("a chain") { _ = try encoded(Self.chain(10_000)) }
            expectEncodingError("endless values") { _ = try encoded(Endless()) }
            expectEncodingError("endless single values") { _ = try encoded(EndlessSingle()) }
            expectEncodingError("endless containers") {
                _ = try encoded(
                    Written { encoder in
                        var container = encoder.unkeyedContainer()
                        for _ in 0..<100_000 {
                            var inner = container.nestedUnkeyedContainer()
                            try inner.encode(1)
                            container = inner
                        }
                    })
            }
            for depth in [1_001, 10_000, 100_000] {
                do {
                    _ = try decoded(Lists.self, Self.deepBytes(depth, key: "inner"))
                    problems.append("\(depth) levels were decoded")
                } catch is DecodingError {} catch { problems.append("\(error)") }
                do {
                    _ = try decoded(EndlessSingle.self, Self.deepBytes(depth, key: "inner"))
                    problems.append("\(depth) levels were decoded")
                } catch is DecodingError {} catch { problems.append("\(error)") }
            }
            return problems
        }
        #expect(outcome == [])
    }

    /// Lists in lists, as bytes that no encoder would make that deep.
    static func deepBytes(_ depth: Int, key: String) -> [UInt8] {
        let opening = 8 + 1 + key.utf8.count + 8
        var bytes: [UInt8] = []
        func head(_ tag: UInt64, _ length: Int) { withUnsafeBytes(of: tag | UInt64(length) << 8) { bytes += $0 } }
        for level in 0..<depth {
            let inside = (depth - level) * opening - 8
            head(0x60, inside)
            bytes.append(UInt8(key.utf8.count))
            bytes += Array(key.utf8)
            head(0x61, inside - opening + 8)
        }
        return bytes
    }

    struct Endless: Codable {
        init() {}
        init(from decoder: any Decoder) throws {}
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: AnyKey.self)
            try container.encode([Endless?.some(Endless())], forKey: "again")
        }
    }

    struct EndlessSingle: Codable {
        init() {}
        init(from decoder: any Decoder) throws { _ = try decoder.singleValueContainer().decode(EndlessSingle.self) }
        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode(EndlessSingle())
        }
    }

    @Test func nestedContainersOfOneValueAreReadWithoutRecursion() throws {
        let bytes = try encoded(
            Written { encoder in
                var container = encoder.unkeyedContainer()
                for level in 1..<StackLimit.levels {
                    var inner = container.nestedUnkeyedContainer()
                    try inner.encode(level)
                    try container.encode(-level)
                    container = inner
                }
            })
        let depth = try reading(bytes) { decoder in
            var container = try decoder.unkeyedContainer()
            var depth = 1
            while !container.isAtEnd {
                if depth > 1 { #expect(try container.decode(Int.self) == depth - 1) }
                guard !container.isAtEnd else { break }
                let inner = try container.nestedUnkeyedContainer()
                #expect(try container.decode(Int.self) == -depth)
                container = inner
                depth += 1
            }
            return depth
        }
        #expect(depth == StackLimit.levels)
    }

    enum StackLimit { static let levels = 1000 }
}
