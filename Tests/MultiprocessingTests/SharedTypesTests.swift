import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// A shared object is found as what it was made as, and as nothing else.
    @Suite struct SharedTypesTests {
        /// What comes out when `object` is decoded, in another process, as a `Claimed`.
        private func errorOf<Real: Codable & Sendable, Claimed: Codable & Sendable>(
            _ object: Real, as type: Claimed.Type, _ pool: Pool
        ) throws -> String {
            let error = try errorThrown(TransferError.self) {
                try pool.apply({ (_: Disguise<Real, Claimed>) in }, Disguise(object, as: type))
            }
            guard case .cannotDecode = error else { throw error }
            return "\(error)"
        }

        @Test(arguments: StartMethod.all) func ofTheSameSizeIsNotTheSame(method: StartMethod) throws {
            try withPool(processes: 1, configuration: .init(method)) { pool in
                for (text, real, claimed) in [
                    (try errorOf(SharedValue(1), as: SharedValue<Double>.self, pool), "SharedValue<Int>", "SharedValue<Double>"),
                    (try errorOf(SharedValue<UInt8>(7), as: SharedValue<Bool>.self, pool), "SharedValue<UInt8>", "SharedValue<Bool>"),
                    (try errorOf(SharedArray([1.5]), as: SharedArray<Int>.self, pool), "SharedArray<Double>", "SharedArray<Int>"),
                    (try errorOf(SharedAtomic(1), as: SharedAtomic<UInt>.self, pool), "SharedAtomic<Int>", "SharedAtomic<UInt>"),
                    (
                        try errorOf(SharedQueue<Int>(capacity: 1), as: SharedQueue<Double>.self, pool), "SharedQueue<Int>",
                        "SharedQueue<Double>"
                    ),
                    (try errorOf(SharedAtomic(1), as: SharedValue<Int>.self, pool), "SharedAtomic<Int>", "SharedValue<Int>"),
                    (try errorOf(SharedLock(), as: SharedSemaphore.self, pool), "SharedLock", "SharedSemaphore"),
                    (try errorOf(SharedSemaphore(1), as: SharedLock.self, pool), "SharedSemaphore", "SharedLock"),
                ] {
                    #expect(text.contains("a \(real),") && text.contains("a \(claimed)."), "\(text)")
                }
                #expect(try errorOf(3, as: SharedLock.self, pool).contains("as the type that it was sent as"))
            }
        }

        /// The names of private and local types hold addresses, which are others in each program that is started.
        @Test(arguments: StartMethod.all) func anyTypeIsTheSameEverywhere(method: StartMethod) throws {
            struct Local: BitwiseCopyable, Sendable { var number = 5 }
            try withPool(processes: 1, configuration: .init(method)) { pool in
                try #expect(pool.apply({ $0.value.number }, SharedValue(Local())) == 5)
                try #expect(pool.apply({ $0[1].number }, SharedArray([Local(), Local(number: 6)])) == 6)
                try #expect(pool.apply({ $0.value.number }, SharedValue(Hidden())) == 7)
                try #expect(pool.apply({ $0.load() }, SharedAtomic(Hidden.Colour.green)) == .green)
                try #expect(pool.apply({ $0.value.second }, SharedValue(Pair(first: 1.5, second: 2))) == 2)
                let colours = try SharedQueue<Hidden.Colour>(capacity: 1)
                try pool.apply({ try $0.put(.green) }, colours)
                try #expect(colours.get() == .green)
                // And on the way back.
                try #expect(pool.apply { try SharedValue(Hidden(number: 8)) }.value.number == 8)
            }
        }

        @Test func aConnectionGoesOnAfterIt() throws {
            let (mine, theirs) = try pipe()
            try theirs.send(SharedValue<UInt8>(7))
            try theirs.send(SharedValue<UInt8>(8))
            #expect(throws: DecodingError.self) { try mine.receive(SharedValue<Bool>.self) }
            #expect(try mine.receive(SharedValue<UInt8>.self).value == 8)
        }
    }
}

private struct Hidden: BitwiseCopyable, Sendable {
    enum Colour: Codable { case red, green }
    var number = 7
}

private struct Pair<T: BitwiseCopyable & Sendable>: BitwiseCopyable, Sendable {
    var first: T
    var second: T
}
