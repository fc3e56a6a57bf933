import Synchronization
import Testing

@testable import SharedState

/// What stands in a shared object's header for a type.
@Suite struct TypeMarkTests {
    private struct Nameless { var number = 0 }

    /// Calls `body` with `count` types of which each is another.
    private func withTypes<T>(_ type: T.Type, _ count: Int, _ body: (any Any.Type) -> Void) {
        body(type)
        if count > 1 { withTypes(T?.self, count - 1, body) }
    }

    @Test func eachTypeHasItsOwn() {
        // Far more than there are places for.
        var hashes: [UInt64] = []
        withTypes(Int.self, 300) { hashes.append(TypeMark.of($0).hash) }
        #expect(Set(hashes).count == 300)
        var again: [UInt64] = []
        withTypes(Int.self, 300) { again.append(TypeMark.of($0).hash) }
        #expect(again == hashes)
    }

    @Test func sameFromAllThreads() async {
        struct Asked<T> { var value: T }
        let hashes = await withTaskGroup(of: [UInt64].self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var hashes: [UInt64] = []
                    withTypes(Asked<Int>.self, 40) { hashes.append(TypeMark.of($0).hash) }
                    return hashes
                }
            }
            return await group.reduce(into: Set<[UInt64]>()) { $0.insert($1) }
        }
        #expect(hashes.count == 1)
    }

    @Test func namesAreForPeople() {
        func name(_ type: any Any.Type) -> String? {
            withUnsafeTemporaryAllocation(byteCount: TypeMark.size, alignment: 8) { memory in
                guard let start = memory.baseAddress else { return nil }
                TypeMark.of(type).write(to: start)
                #expect(TypeMark.hash(at: start) == TypeMark.of(type).hash)
                return TypeMark.name(at: start)
            }
        }
        #expect(name(Int.self) == "Int")
        #expect(name(Nameless.self) == "Nameless")
        #expect(name(SIMD4<Float>.self) == "SIMD4<Float>")
        // Cut off.
        #expect(name([String: [String: Int]].self) == "Dictionary<String, Dictionary<St…")
    }
}
