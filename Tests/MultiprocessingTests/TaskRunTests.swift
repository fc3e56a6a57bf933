import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// Many calls of one function, in bulk and lazily, where they end in another order than they began in, or are ended by others.
    @Suite struct TaskRunTests {
        /// More inputs than are in flight at once, or than a pool has places for.
        @Test func moreInputsThanAreInFlight() throws {
            try withPool(processes: 2) { pool in
                try #expect(pool.map(0..<5000, double) == (0..<5000).map { 2 * $0 })
                // Inputs that come one by one.
                try #expect(pool.map((0..<5000).lazy.filter { $0 % 2 == 0 }, double) == (0..<2500).map { 4 * $0 })
            }
        }

        @Test func oneSlowInputHoldsNobodyUp() throws {
            try withPool(processes: 2) { pool in
                let done = try SharedValue<Int>(0)
                // The first call ends after all others: that they come about does not depend on it.
                try #expect(pool.map((0..<3000).map { Turn($0, last: 2999, done: done) }, takeTurn) == Array(0..<3000))
                #expect(done.value == 2999)
            }
        }

        // MARK: Inputs that cannot be encoded

        @Test func inputThatCannotBeEncodedTakesNoOthersPlace() throws {
            try withPool(processes: 2) { pool in
                // The slow one is still on its way when the bad one, some power of two later, is submitted.
                for bad in [512, 1024, 2048] {
                    let done = try SharedValue<Int>(0)
                    let inputs = (0..<3000).map { Turn($0, last: 2998, done: done, isBad: $0 == bad) }
                    #expect(throws: TransferError.self) { try pool.map(inputs, takeTurn) }
                    #expect(done.value == 2998)
                }
            }
        }

        @Test func mostInputsCannotBeEncoded() throws {
            try withPool(processes: 2) { pool in
                // So many that calls in flight are further apart than as many calls as can be in flight.
                let isBad = { (n: Int) in n >= 100 && n < 2000 }
                let inputs = (0..<2400).map { Fickle($0, isBad: isBad($0)) }
                let count = try SharedValue<Int>(0)
                #expect(throws: TransferError.self) { try pool.map(inputs.map { Pair($0, count) }) { $0.count.withLock { $0 += 1 } } }
                #expect(count.value == 500)
                var results: [Int?] = []
                for result in pool.imap(inputs, buffer: 10_000, { $0.number }) { results.append(try? result.get()) }
                #expect(results == (0..<2400).map { isBad($0) ? nil : $0 })
            }
        }

        @Test func encodingMayUseThePool() throws {
            try withPool(processes: 2) { pool in
                let inputs = (0..<200).map { n in Asking { try pool.apply(double, n) } }
                try #expect(pool.map(inputs, pass).map(\.answer) == (0..<200).map { 2 * $0 })
                try #expect(pool.imap(inputs, buffer: 3, pass).map { try $0.get().answer } == (0..<200).map { 2 * $0 })
            }
        }

        // MARK: Lazy results

        /// Nothing of a call is lost to a consumer that asks while another submits, and no consumer is told too early that there is no more.
        @Test(arguments: [1, 2, 100, 3000]) func severalConsumers(buffer: Int) throws {
            try withPool(processes: 2) { pool in
                for _ in 0..<5 {
                    let results = pool.imap(0..<1000, buffer: buffer, double)
                    let sum = Counter()
                    let count = Counter()
                    onThreads(4) { _ in
                        for result in results {
                            count.add(1)
                            if case .success(let n) = result { sum.add(n) }
                        }
                    }
                    #expect(count.value == 1000)
                    #expect(sum.value == 999 * 1000)
                }
            }
        }

        @Test(arguments: [1, 2, 100, 3000]) func severalAsynchronousConsumers(buffer: Int) async throws {
            try await withPool(processes: 2) { pool in
                let results = pool.imap(0..<3000, buffer: buffer, double)
                let all = try await withThrowingTaskGroup(of: [Int].self) { group in
                    for _ in 0..<4 {
                        group.addTask {
                            var mine: [Int] = []
                            for try await n in results { mine.append(n) }
                            return mine
                        }
                    }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                #expect(all.sorted() == (0..<3000).map { 2 * $0 })
            }
        }

        /// More inputs than are ever in flight may be asked for ahead: the first result is there before the last has begun.
        @Test func largeBufferDoesNotHoldResultsBack() throws {
            let gate = try SharedValue<Int>(0)
            try withPool(processes: 1) { pool in
                var iterator = pool.imap((0..<4000).map { Gated($0, gate) }, buffer: 4000, passGate).makeIterator()
                try #expect(iterator.next()?.get() == 0)
                gate.value = 1
                var count = 1
                while iterator.next() != nil { count += 1 }
                #expect(count == 4000)
            }
        }

        @Test func resultsThatAreKeptKeepNothingFromOthers() throws {
            let pool = try Pool(processes: 2)
            let kept = try (0..<3).map { _ in
                let results = pool.imap(0..<1024, double)
                for result in results { _ = try result.get() }
                return results
            }
            // They hold none of the pool's slots...
            try #expect(pool.map(0..<100, double) == (0..<100).map { 2 * $0 })
            pool.close()
            // ...and none of their calls counts as work that is left.
            try pool.join()
            withExtendedLifetime(kept) {}
        }

        // MARK: Others on the same pool

        @Test func mapsFromSeveralThreads() throws {
            try withPool(processes: 2) { pool in
                let wrong = Counter()
                // More than there are places: each takes out what others have left.
                onThreads(6) { thread in
                    let inputs = thread * 10_000..<thread * 10_000 + 2000
                    let expected = inputs.map { 2 * $0 }
                    do {
                        if try pool.map(inputs, double) != expected { wrong.add(1) }
                        if try pool.imap(inputs, double).map({ try $0.get() }) != expected { wrong.add(1) }
                        if try pool.mapAsync(inputs, double).get() != expected { wrong.add(1) }
                    } catch {
                        wrong.add(1)
                    }
                }
                #expect(wrong.value == 0)
            }
        }

        /// Calls that come singly, from a thread each or all from one, are taken singly: of a pair, neither lies behind the other that waits for it.
        @Test(arguments: [true, false]) func singleCallsMayWaitForEachOther(waits: Bool) throws {
            // A thread that waits for a call does nothing else.
            try withPool(processes: 2, configuration: .init(.forkServer) { $0.waiting = .blocking }) { pool in
                let (begun, release) = (try SharedValue<Int>(0), try SharedValue<Int>(0))
                let busy = (0..<2).map { _ in pool.applyAsync(beginAndWait, begun, release) }
                try #require(eventually { begun.value == 2 })
                let pairs = try (0..<12).map { _ in try SharedValue<Int>(0) }
                let calls = pairs.flatMap { [$0, $0] }
                if waits {
                    let submitted = Counter()
                    let right = Counter()
                    onThreads(calls.count + 1) { index in
                        guard index < calls.count else {
                            while submitted.value < calls.count { usleep(500) }
                            return release.value = 1
                        }
                        while submitted.value < index { usleep(500) }
                        // One after the other: the next thread goes on when this one sleeps.
                        let thread = threadFolder()
                        let watcher = OwnThread {
                            _ = eventually { isAsleep(thread) }
                            submitted.add(1)
                        }
                        if (try? pool.apply(meet, calls[index])) == 2 { right.add(1) }
                        watcher.join()
                    }
                    #expect(right.value == calls.count)
                } else {
                    let futures = calls.map { pool.applyAsync(meet, $0) }
                    release.value = 1
                    for future in futures { try #expect(future.get() == 2) }
                }
                for future in busy { try #expect(future.get() == 1) }
            }
        }

        @Test(arguments: [false, true]) func poolThatEndsDuringAMap(terminates: Bool) throws {
            let begun = try SharedValue<Int>(0)
            let pool = try Pool(processes: 2)
            let ended = Counter()
            onThreads(3) { thread in
                if thread == 0 {
                    while begun.value < 100 { sched_yield() }
                    if terminates { pool.terminate() } else { pool.close() }
                } else {
                    // Inputs without an end.
                    do {
                        try pool.map(sequence(first: begun) { $0 }) { begun in begun.withLock { $0 += 1 } }
                    } catch { ended.add(1) }
                }
            }
            #expect(ended.value == 2)
            try pool.join()
        }

        /// A worker that has done its number of tasks is gone before the host takes what it has made.
        @Test(arguments: StartMethod.all, [1, 2]) func sharedObjectsOutliveTheirWorker(method: StartMethod, tasks: Int) throws {
            try withPool(processes: 2, configuration: .init(method) { $0.maxTasksPerWorker = tasks }) { pool in
                let futures = (0..<8).map { n in pool.applyAsync(makeShared, n) }
                // Until the last of their workers has left.
                try #expect(pool.map(0..<4, double) == [0, 2, 4, 6])
                try #expect(futures.map { try $0.get().value } == Array(0..<8))
                try #expect(pool.map(0..<8, makeShared).map(\.value) == Array(0..<8))
            }
        }
    }
}

@Sendable private func makeShared(_ n: Int) throws -> SharedValue<Int> { try SharedValue(n) }

/// Waits until two have come.
@Sendable private func meet(_ count: SharedValue<Int>) -> Int {
    count.withLock { $0 += 1 }
    while count.value < 2 { usleep(500) }
    return count.value
}

private struct NoEncoding: Error {}

/// A number that may not be encodable.
private struct Fickle: Codable, Sendable {
    let number: Int
    var isBad = false

    init(_ number: Int, isBad: Bool) { (self.number, self.isBad) = (number, isBad) }
    init(from decoder: any Decoder) throws { number = try decoder.singleValueContainer().decode(Int.self) }

    func encode(to encoder: any Encoder) throws {
        if isBad { throw NoEncoding() }
        var container = encoder.singleValueContainer()
        try container.encode(number)
    }
}

private struct Pair: Codable, Sendable {
    let fickle: Fickle
    let count: SharedValue<Int>
    init(_ fickle: Fickle, _ count: SharedValue<Int>) { (self.fickle, self.count) = (fickle, count) }
}

/// The first waits until `last` others are done.
private struct Turn: Codable, Sendable {
    let number: Fickle
    let last: Int
    let done: SharedValue<Int>

    init(_ number: Int, last: Int, done: SharedValue<Int>, isBad: Bool = false) {
        (self.number, self.last, self.done) = (Fickle(number, isBad: isBad), last, done)
    }
}

@Sendable private func takeTurn(_ turn: Turn) -> Int {
    if turn.number.number == 0 {
        while turn.done.value < turn.last { sched_yield() }
    } else {
        turn.done.withLock { $0 += 1 }
    }
    return turn.number.number
}

/// All but the first wait for the gate.
private struct Gated: Codable, Sendable {
    let number: Int
    let gate: SharedValue<Int>
    init(_ number: Int, _ gate: SharedValue<Int>) { (self.number, self.gate) = (number, gate) }
}

@Sendable private func passGate(_ gated: Gated) -> Int {
    while gated.number > 0, gated.gate.value == 0 { sched_yield() }
    return gated.number
}
