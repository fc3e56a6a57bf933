import Glibc
import Multiprocessing
import Synchronization
import TestSupport
import Testing

extension PublicInterface {
    /// Arguments that are encoded, and results that are decoded, by code that uses the pool itself, or waits for others that do: nothing is kept from them meanwhile.
    @Suite struct UsersCodeTests {
        /// As many threads as would have all of a small pool's 2048 slots, if each kept the 32 that it takes at a time.
        private static let many = 64

        @Test func manyMapsWhoseInputsUseThePool() throws {
            try withPool(processes: 2) { pool in
                let all = Meeting(Self.many)
                let right = Counter()
                onThreads(Self.many) { thread in
                    let inputs = (0..<50).map { n in
                        Asking {
                            // All are here, in the middle of an encoding, before any of them goes on.
                            if n == 0 { all.join() }
                            return try pool.apply(double, thread + n)
                        }
                    }
                    if (try? pool.map(inputs, pass).map(\.answer)) == (0..<50).map({ 2 * (thread + $0) }) { right.add(1) }
                }
                #expect(right.value == Self.many)
            }
        }

        @Test func manyMapsWhoseResultsUseThePool() throws {
            // Together they have all of the pool's slots.
            let (threads, inputs) = (32, 64)
            let done = try SharedValue<Int>(0)
            let initializer = WorkerInitializer({ (done: SharedValue<Int>) in Answering.done.withLock { $0 = done } }, done)
            try withPool(processes: 2, initializer: initializer, configuration: .init(.forkServer) { $0.waiting = .blocking }) { pool in
                let right = Counter()
                let all = Meeting(threads)
                let decoded = (0..<threads).map { _ in Counter() }
                Answering.answer.withLock { answer in
                    answer = { question in
                        let thread = question / inputs
                        decoded[thread].add(1)
                        // Each has collected what came of all its calls, before any of them goes on.
                        if decoded[thread].value == 1 {
                            while done.value < threads * inputs { usleep(500) }
                            let workers = { ProcessEntry.descendants().filter { $0.name == "mp-worker" } }
                            _ = eventually { workers().allSatisfy { $0.state == "S" } }
                        }
                        // Before, each could have had the slots of results that are still to be collected.
                        guard decoded[thread].value == inputs else { return 2 * question }
                        all.join()
                        return try pool.apply(double, question)
                    }
                }
                defer { Answering.answer.withLock { $0 = nil } }
                onThreads(threads) { thread in
                    let questions = thread * inputs..<(thread + 1) * inputs
                    let results = try? pool.map(questions) { question in
                        Answering.done.withLock { $0 }?.withLock { $0 += 1 }
                        return Answering(question)
                    }
                    if results?.map(\.answer) == questions.map({ 2 * $0 }) { right.add(1) }
                }
                #expect(right.value == threads)
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
                    let sum = try pool.apply(
                        { $0.value + $1.count + $2.answer + $3.count + $4.value }, shared, bytes, asking, bytes, shared)
                    #expect(sum == 18 + 2 * size)
                    #expect(throws: TransferError.self) {
                        try pool.apply({ (_: [UInt8], _: Asking, _: [UInt8]) in }, bytes, Asking { throw Refusal(reason: "no") }, bytes)
                    }
                }
                #expect(throws: TransferError.self) { try pool.map([asking, Asking { throw Refusal(reason: "no") }], pass) }
                try #expect(pool.apply(double, 4) == 8)
            }
        }

        /// Short ones wait for each other, large ones and those with shared objects do not, and some cannot be encoded: all keep their order.
        @Test func inputsOfAllKinds() throws {
            try withPool(processes: 2) { pool in
                let shared = try SharedValue<Int>(1)
                let inputs = (0..<3000).map { n in
                    Mixed(number: n, text: String(repeating: "x", count: n % 7 == 0 ? n : n % 60), shared: n % 11 == 0 ? shared : nil)
                }
                let expected = inputs.map { $0.number + $0.text.utf8.count + ($0.shared == nil ? 0 : 1) }
                let add: @Sendable (Mixed) -> Int = { $0.number + $0.text.utf8.count + ($0.shared?.value ?? 0) }
                try #expect(pool.map(inputs, add) == expected)
                try #expect(pool.imap(inputs, add).map { try $0.get() } == expected)
                try #expect(pool.mapAsync(inputs, add).get() == expected)
                // One by one, as they come.
                let even = stride(from: 0, to: 3000, by: 2).map { expected[$0] }
                try #expect(pool.map(inputs.lazy.filter { $0.number % 2 == 0 }, add) == even)
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

        @Test func initializerIsEncodedOnce() throws {
            let count = Counter()
            let argument = Asking {
                count.add(1)
                return 7
            }
            let seen = try SharedValue<Int>(0)
            let initializer = WorkerInitializer({ (seen: SharedValue<Int>, n: Asking) in seen.withLock { $0 += n.answer } }, seen, argument)
            try withPool(processes: 1, initializer: initializer, configuration: .init(.forkServer) { $0.maxTasksPerWorker = 1 }) { pool in
                // Each in a worker of its own.
                try #expect(pool.map(0..<3, double) == [0, 2, 4])
                #expect(seen.value >= 21)
            }
            #expect(count.value == 1)
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

/// What is decoded as the answer to what was encoded.
private struct Answering: Codable, Sendable {
    static let answer = Mutex<(@Sendable (Int) throws -> Int)?>(nil)
    /// In a worker: counts its calls, and those of others.
    static let done = Mutex<SharedValue<Int>?>(nil)
    let answer: Int

    init(_ answer: Int) { self.answer = answer }

    init(from decoder: any Decoder) throws {
        let question = try decoder.singleValueContainer().decode(Int.self)
        let answer = Self.answer.withLock { $0 }
        self.answer = try answer?(question) ?? question
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(answer)
    }
}

private struct Mixed: Codable, Sendable {
    let number: Int
    let text: String
    let shared: SharedValue<Int>?
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
