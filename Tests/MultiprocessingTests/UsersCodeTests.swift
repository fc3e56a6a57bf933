import Glibc
import Multiprocessing
import Synchronization
import TestSupport
import Testing

extension PublicInterface {
    /// Arguments that are encoded, and results that are decoded, by code that uses the pool itself, or waits for others that do: nothing is kept from them meanwhile.
    @Suite struct UsersCodeTests {
        /// As many threads as would have all of the pool's slots, if each kept what it takes at a time.
        private static let many = 72

        @Test func manyMapsWhoseInputsUseThePool() throws {
            try withPool(processes: 2) { pool in
                let all = Meeting(Self.many)
                let right = Counter()
                onThreads(Self.many) { thread in
                    let inputs = (0..<50).map { n in
                        Asking {
                            // All are here, in the middle of an encoding, before any of them goes on.
                            if n == 40 { all.join() }
                            return try pool.apply(double, thread + n)
                        }
                    }
                    if (try? pool.map(inputs, pass).map(\.answer)) == (0..<50).map({ 2 * (thread + $0) }) { right.add(1) }
                }
                #expect(right.value == Self.many)
            }
        }

        @Test func manyMapsWhoseResultsUseThePool() throws {
            try withPool(processes: 2) { pool in
                let right = Counter()
                Answering.pool.withLock { $0 = pool }
                defer { Answering.pool.withLock { $0 = nil } }
                onThreads(Self.many) { thread in
                    let results = try? pool.map(thread..<thread + 100) { Answering($0) }
                    if results?.map(\.answer) == (0..<100).map({ 2 * (thread + $0) }) { right.add(1) }
                }
                #expect(right.value == Self.many)
            }
        }

        @Test func manySingleCallsWhoseArgumentsUseThePool() throws {
            try withPool(processes: 2) { pool in
                let all = Meeting(Self.many)
                let right = Counter()
                onThreads(Self.many) { thread in
                    let argument = Asking {
                        all.join()
                        return try pool.apply(double, thread)
                    }
                    let other = Asking { try pool.applyAsync(double, thread).get() }
                    // The first argument has been written by then; and what is large goes elsewhere than what is small.
                    let text = String(repeating: "x", count: thread * 10)
                    let sum = try? pool.apply({ $0.utf8.count + $1.answer + $2.answer }, text, argument, other)
                    let sameSum = try? pool.applyAsync({ $0.utf8.count + $1.answer }, text, other).get()
                    if sum == 14 * thread, sameSum == 12 * thread { right.add(1) }
                }
                #expect(right.value == Self.many)
            }
        }

        @Test func argumentsBesideThoseThatRunCode() throws {
            try withPool(processes: 1) { pool in
                let shared = try SharedValue<Int>(5)
                let asking = Asking { try pool.apply(double, 4) }
                for size in [0, 10, 20, 60, 100, 100_000] {
                    let bytes = [UInt8](repeating: 7, count: size)
                    // Shared objects before and after it arrive, as does what would not fit into a slot.
                    let sum = try pool.apply({ $0.value + $1.count + $2.answer + $3.count + $4.value }, shared, bytes, asking, bytes, shared)
                    #expect(sum == 18 + 2 * size)
                    #expect(throws: TransferError.self) {
                        try pool.apply({ (_: [UInt8], _: Asking, _: [UInt8]) in }, bytes, Asking { throw Refusal(reason: "no") }, bytes)
                    }
                }
                #expect(throws: TransferError.self) { try pool.map([asking, Asking { throw Refusal(reason: "no") }], pass) }
                try #expect(pool.apply(double, 4) == 8)
            }
        }

        @Test func poolThatEndsWhileAnArgumentIsEncoded() throws {
            for terminates in [false, true] {
                let pool = try Pool(processes: 1)
                let ending = Asking {
                    if terminates { pool.terminate() } else { pool.close() }
                    return 1
                }
                #expect(throws: (any Error).self) { try pool.apply(pass, ending) }
                #expect(throws: (any Error).self) { try pool.applyAsync(pass, ending).get() }
                #expect(throws: (any Error).self) { try pool.map([ending], pass) }
                try pool.join()
            }
        }

        // MARK: Lazy results

        /// The third input is not there before the second result has been taken, by another than who waits for that input.
        @Test(arguments: [true, false]) func resultsDoNotWaitForInputs(isOrdered: Bool) throws {
            try withPool(processes: 2) { pool in
                let gate = Gate()
                let inputs = (0..<4).map { n in
                    Asking {
                        if n == 2 { gate.wait() }
                        return n
                    }
                }
                let results = isOrdered ? pool.imap(inputs, buffer: 2, pass) : pool.imapUnordered(inputs, buffer: 2, pass)
                let sum = Counter()
                let taken = Counter()
                onThreads(2) { _ in
                    var iterator = results.makeIterator()
                    guard let first = iterator.next(), case .success(let asking) = first else { return }
                    sum.add(asking.answer)
                    taken.add(1)
                    // Whoever comes here first does so while the other is taking that input.
                    gate.open()
                    while let result = iterator.next() { if case .success(let asking) = result { sum.add(asking.answer) } }
                }
                #expect(taken.value == 2)
                #expect(sum.value == 6)
            }
        }

        @Test(arguments: [true, false]) func inputThatAsksForItsOwnResult(isOrdered: Bool) throws {
            try withPool(processes: 1) { pool in
                let own = Mutex<Results<Asking>?>(nil)
                let inputs = (0..<3).map { n in
                    Asking {
                        guard n == 1, let results = own.withLock({ $0 }) else { return n }
                        var iterator = results.makeIterator()
                        return try iterator.next()?.get().answer ?? -1
                    }
                }
                let results = isOrdered ? pool.imap(inputs, buffer: 1, pass) : pool.imapUnordered(inputs, buffer: 1, pass)
                own.withLock { $0 = results }
                defer { own.withLock { $0 = nil } }
                let all = results.map { $0 }
                try #require(all.count == 3)
                try #expect(all[0].get().answer == 0)
                #expect(throws: TransferError.self) { try all[1].get() }
                try #expect(all[2].get().answer == 2)
            }
        }
    }
}

/// What is encoded as the answer to a question that is only asked then.
struct Asking: Codable, Sendable {
    let answer: Int
    private let ask: (@Sendable () throws -> Int)?

    init(_ ask: @escaping @Sendable () throws -> Int) { (answer, self.ask) = (0, ask) }

    init(from decoder: any Decoder) throws { (answer, ask) = (try decoder.singleValueContainer().decode(Int.self), nil) }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(ask?() ?? answer)
    }
}

/// What is decoded as what a pool makes of it.
private struct Answering: Codable, Sendable {
    static let pool = Mutex<Pool?>(nil)
    let answer: Int

    init(_ answer: Int) { self.answer = answer }

    init(from decoder: any Decoder) throws {
        let question = try decoder.singleValueContainer().decode(Int.self)
        let pool = Self.pool.withLock { $0 }
        answer = try pool?.apply(double, question) ?? question
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(answer)
    }
}

/// Where threads of this process wait until all are there.
private final class Meeting: Sendable {
    private let missing: Atomic<Int>
    init(_ count: Int) { missing = Atomic(count) }
    func join() {
        missing.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        while missing.load(ordering: .sequentiallyConsistent) > 0 { usleep(500) }
    }
}

private final class Gate: Sendable {
    private let isOpen = Atomic<Bool>(false)
    func open() { isOpen.store(true, ordering: .sequentiallyConsistent) }
    func wait() { while !isOpen.load(ordering: .sequentiallyConsistent) { usleep(500) } }
}
