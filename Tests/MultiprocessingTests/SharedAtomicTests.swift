import Glibc
import Multiprocessing
import SharedState
import TestSupport
import Testing

extension PublicInterface {
    /// Shared atomics between processes.
    @Suite struct SharedAtomicTests {
        @Test(arguments: StartMethod.all) func sumsAreExact(method: StartMethod) throws {
            let (counter, byte) = (try SharedAtomic(0), try SharedAtomic<UInt8>(0))
            let children = (0..<3).map { _ in
                ChildProcess(counter, byte, configuration: .init(method)) { (counter: SharedAtomic<Int>, byte: SharedAtomic<UInt8>) in
                    for _ in 0..<50_000 {
                        counter.add(1)
                        byte.add(1)
                    }
                }
            }
            for child in children { try child.start() }
            for _ in 0..<50_000 { counter.add(1) }
            for child in children { try child.result() }
            #expect(counter.load() == 200_000)
            #expect(byte.load() == UInt8(truncatingIfNeeded: 150_000))
        }

        @Test func ticketsAreGivenOnce() throws {
            let tickets = try SharedAtomic<UInt32>(0)
            let given = try withPool(processes: 3) { pool in
                try pool.map(Array(repeating: tickets, count: 500)) { $0.add(1) }
            }
            #expect(given.sorted() == Array(1...500))
        }

        @Test(arguments: StartMethod.all) func travelsAndGoesWithItsLastHandle(method: StartMethod) throws {
            let arena = try Arena.current()
            let before = arena.objectsInUse
            try withPool(processes: 1, configuration: .init(method)) { pool in
                let made = try pool.apply { try SharedAtomic(Int16(77)) }
                #expect(made.exchange(78) == 77)
                // Inside other things, and back.
                let back = try pool.apply({ (all: [String: [SharedAtomic<Int16>]]) in all["it"]?.first }, ["it": [made]])
                #expect(back?.load() == 78)
                _ = try? pool.apply({ (it: SharedAtomic<Int16>) in _ = (it.add(1), die(.killed)) }, made)
                #expect(made.load() == 79)
                // A handle to two bytes is none to eight.
                #expect(throws: TransferError.self) {
                    try pool.apply({ (_: Disguise<SharedAtomic<Int16>, SharedAtomic<Int>>) in }, Disguise(made, as: SharedAtomic<Int>.self))
                }
            }
            #expect(eventually { arena.objectsInUse <= before }, "\(arena.objectsInUse) objects, \(before) before")
        }
    }
}
