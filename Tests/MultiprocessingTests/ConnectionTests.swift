import Glibc
import Multiprocessing
import SharedState
import TestSupport
import Testing

extension PublicInterface {
    /// Connections between processes.
    @Suite struct ConnectionTests {
        @Test(arguments: StartMethod.all) func childAnswers(method: StartMethod) throws {
            let (mine, theirs) = try pipe()
            let child = ChildProcess(echo, theirs, configuration: .init(method))
            try child.start()
            try theirs.close()
            for i in 0..<200 {
                try mine.send([Int](repeating: i, count: i * 100))
                #expect(try mine.receive([Int].self) == [Int](repeating: i, count: i * 100))
            }
            try mine.send([-1])
            #expect(throws: ConnectionError.endOfStream) { try mine.receive([Int].self) }
            try child.result()
        }

        @Test(arguments: StartMethod.all) func workersTalkToEachOther(method: StartMethod) throws {
            try withPool(processes: 2, configuration: .init(method)) { pool in
                for _ in 0..<20 {
                    let (a, b) = try pipe()
                    let asks = pool.applyAsync(sumOfAnswers, a, 50)
                    let answers = pool.applyAsync(echo, b)
                    try a.close()
                    try b.close()
                    #expect(try asks.get() == 50 * 49 / 2)
                    try answers.get()
                }
            }
        }

        @Test(arguments: StartMethod.all) func madeInAWorker(method: StartMethod) throws {
            let pool = try Pool(processes: 1, configuration: .init(method))
            let result = pool.applyAsync(makePipe)
            let mine = try result.get()
            try mine.send("hello")
            #expect(try pool.apply(receiveKept) == "hello")
            // The same result again is the same end, not another one.
            try result.get().send("again")
            #expect(try pool.apply(receiveKept) == "again")
            let other = try pool.apply(pass, mine)
            try other.send("and back")
            #expect(try pool.apply(receiveKept) == "and back")
            _ = try? pool.apply(die, .killed)
            #expect(throws: ConnectionError.endOfStream) { try mine.receive(Int.self) }
            pool.terminate()
            try pool.join()
        }

        /// Decodes what it is made of again and again, as a type may that tries several forms, and as several threads may that take one result at once.
        private struct Repeated: Codable, Sendable {
            let all: [Connection]
            init(_ one: Connection) { all = [one] }
            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                all = try (0..<3).map { _ in
                    _ = try? container.decode(SharedDescriptor.self)
                    return try container.decode(Connection.self)
                }
            }
            func encode(to encoder: any Encoder) throws {
                var container = encoder.singleValueContainer()
                try container.encode(all[0])
            }
        }

        @Test(arguments: StartMethod.all) func decodedAgainItIsTheSame(method: StartMethod) throws {
            let (mine, theirs) = try pipe()
            try withPool(processes: 1, configuration: .init(method)) { pool in
                let back = try pool.apply(
                    { (repeated: Repeated) in
                        for connection in repeated.all { try connection.send(1) }
                        return repeated
                    }, Repeated(theirs))
                for _ in 0..<3 { #expect(try mine.receive(Int.self) == 1) }
                for connection in back.all { try connection.send(2) }
                for _ in 0..<3 { #expect(try mine.receive(Int.self) == 2) }
                try mine.send(Repeated(mine))
                #expect(try theirs.receive(Repeated.self).all.count == 3)
                try back.all[0].close()
                try theirs.close()
            }
            #expect(throws: ConnectionError.endOfStream) { try mine.receive(Int.self) }
        }

        @Test(arguments: StartMethod.all) func reachesGrandchildren(method: StartMethod) throws {
            let (mine, theirs) = try pipe()
            try withPool(processes: 1, configuration: .init(method)) { pool in
                let made = try pool.apply(
                    { (connection: Connection) in
                        try withPool(processes: 1) { inner in
                            try inner.apply({ (connection: Connection) in try connection.send(getpid()) }, connection)
                            return try inner.apply(makePipe)
                        }
                    }, theirs)
                let pid = try mine.receive(Int32.self)
                // Its maker is gone, or about to be reaped.
                #expect(pid != getpid() && eventually { kill(pid, 0) != 0 })
                #expect(throws: ConnectionError.endOfStream) { try made.receive(Int.self) }
            }
        }

        @Test(arguments: StartMethod.all) func connectionsAndFilesThroughConnections(method: StartMethod) throws {
            let (mine, theirs) = try pipe()
            let child = ChildProcess(theirs, configuration: .init(method)) { (connection: Connection) in
                let (near, far) = try pipe()
                try connection.send(far)
                try far.close()
                try connection.send(try near.receive(String.self))
                try connection.receiveDescriptor().withNumber { number in _ = write(number, "written", 7) }
            }
            try child.start()
            let far = try mine.receive(Connection.self)
            try far.send("around")
            #expect(try mine.receive(String.self) == "around")
            let file = makeFile()
            defer { close(file) }
            try mine.send(descriptor: file)
            try child.result()
            var bytes = [UInt8](repeating: 0, count: 7)
            #expect(pread(file, &bytes, 7, 0) == 7 && String(decoding: bytes, as: UTF8.self) == "written")
            #expect(throws: ConnectionError.endOfStream) { try far.receive(Int.self) }
        }

        @Test func asynchronously() async throws {
            try await withProcessPoolExecutor(maxWorkers: 2) { executor in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for i in 0..<20 {
                        group.addTask {
                            let (mine, theirs) = try pipe()
                            async let done: Void = executor.run(echo, theirs)
                            try await mine.async.send([i])
                            #expect(try await mine.async.receive([Int].self) == [i])
                            try await mine.async.send([-1])
                            try await done
                        }
                    }
                    try await group.waitForAll()
                }
            }
        }

        // MARK: Deaths

        @Test(arguments: StartMethod.all) func killedSendersLeaveWholeMessages(method: StartMethod) throws {
            let (mine, theirs) = try pipe()
            let begun = try SharedValue(0)
            let children = (0..<3).map { ChildProcess(sendForEver, theirs, $0, begun, configuration: .init(method)) }
            for child in children { try child.start() }
            try theirs.close()
            #expect(eventually { begun.value == 3 })
            var next = [0, 0, 0]
            var received = 0
            var killed = 0
            do {
                while true {
                    let message = try mine.receive([Int].self)
                    let (sender, i) = (message[0], message[1])
                    #expect(i == next[sender], "each sender's in order, and none lost")
                    #expect(message.count == messageSize(i) && message.dropFirst(2).allSatisfy { $0 == i })
                    next[sender] += 1
                    received += 1
                    if received % 40 == 39, killed < 3 {
                        children[killed].kill()
                        killed += 1
                    }
                }
            } catch ConnectionError.endOfStream {}
            #expect(killed == 3)
            for child in children { try child.join() }
        }

        /// A forked child has its parent's connections, and the memory that they keep for large messages: no two messages are in it at once.
        @Test func forkedCopiesSendFromTheSameMemory() throws {
            let (mine, theirs) = try pipe()
            let each = 25
            let message = { @Sendable (sender: UInt8) in [UInt8](repeating: sender, count: 150_000) }
            // Several on their way: so much is kept, and free.
            let warmUp = try (0..<10).count { _ in try mine.send(message(0), timeout: .zero) }
            for _ in 0..<warmUp { _ = try theirs.receive([UInt8].self) }
            let child = ChildProcess(configuration: .init(.fork)) { for _ in 0..<each { try mine.send(message(1)) } }
            try child.start()
            onThreads(2) { thread in
                if thread == 0 {
                    for _ in 0..<each { try? mine.send(message(2)) }
                } else {
                    var counts = [0, 0, 0]
                    for _ in 0..<2 * each {
                        guard let bytes = try? theirs.receive([UInt8].self), let first = bytes.first else { break }
                        counts[Int(first)] += 1
                        #expect(bytes.allSatisfy { $0 == first }, "a message of two senders")
                    }
                    #expect(counts == [0, each, each])
                }
            }
            try child.result()
        }

        @Test(arguments: StartMethod.all) func killedReceiverLosesNothingOfOthers(method: StartMethod) throws {
            let (mine, theirs) = try pipe()
            let begun = try SharedValue(0)
            let first = ChildProcess(receiveForEver, theirs, begun, configuration: .init(method))
            try first.start()
            for i in 0..<100 { try mine.send([Int](repeating: i, count: messageSize(i))) }
            #expect(eventually { begun.value == 1 })
            first.kill()
            try first.join()
            // Another holder of the same end goes on where it was.
            var last = -1
            try mine.send([1000])
            while last != 1000 {
                let message = try theirs.receive([Int].self)
                #expect(message[0] > last && message.allSatisfy { $0 == message[0] })
                last = message[0]
            }
            try theirs.close()
            #expect(throws: ConnectionError.endOfStream) { try mine.send(1) }
        }

        @Test func taskThatNeverBeginsDropsItsEnd() throws {
            let begun = try SharedValue(0)
            let pool = try Pool(processes: 1)
            pool.applyAsync(beginAndStay, begun)
            #expect(eventually { begun.value == 1 })
            let (mine, theirs) = try pipe()
            let waiting = pool.applyAsync(echo, theirs)
            try theirs.close()
            // A copy of this process, which lives on, does not keep what waits to be fetched.
            let copy = ChildProcess(configuration: .init(.fork)) { sleepForEver() }
            let (lone, other) = try pipe()
            let another = pool.applyAsync(echo, other)
            try other.close()
            try copy.start()
            #expect(waiting.cancel() && another.cancel())
            for end in [mine, lone] { #expect(throws: ConnectionError.endOfStream) { try end.receive(Int.self) } }
            #expect(copy.isAlive)
            #expect(eventually { DescriptorDepot.count == 0 })
            pool.terminate()
            try pool.join()
            copy.kill()
            try copy.join()
        }

        @Test(arguments: StartMethod.all) func nobodyFetchesTheResult(method: StartMethod) throws {
            let pool = try Pool(processes: 1, configuration: .init(method))
            let (mine, theirs) = try pipe()
            do {
                let unread = pool.applyAsync(pass, theirs)
                #expect(try wait(for: [unread]).done.count == 1)
                try theirs.close()
                #expect(try mine.receive(Int.self, timeout: .zero) == nil, "the result holds it")
            }
            if method != .fork {
                _ = try? pool.apply(die, .killed)
                #expect(throws: ConnectionError.endOfStream) { try mine.receive(Int.self) }
            }
            pool.terminate()
            try pool.join()
            #expect(throws: ConnectionError.endOfStream) { try mine.receive(Int.self) }
            #expect(eventually { DescriptorDepot.count == 0 })
        }

        @Test func anotherAttemptDoesNotFindItAgain() throws {
            let (mine, theirs) = try pipe()
            let tries = try SharedValue(0)
            let pool = try Pool(processes: 1, configuration: .init(.forkServer) { $0.onWorkerDeath = .retry(attempts: 3) })
            let error = try errorThrown(TransferError.self) { try pool.apply(dieWith, theirs, tries) }
            #expect("\(error)".contains("received before"), "\(error)")
            #expect(tries.value == 1)
            try theirs.close()
            #expect(throws: ConnectionError.endOfStream) { try mine.receive(Int.self) }
            pool.terminate()
            try pool.join()
        }

        // MARK: Shared objects on their way

        @Test(arguments: StartMethod.all) func sharedObjectsOutliveTheirSender(method: StartMethod) throws {
            let arena = try Arena.current()
            let before = arena.objectsInUse
            let (mine, theirs) = try pipe()
            let child = ChildProcess(theirs, configuration: .init(method)) { (connection: Connection) in
                // More than fit in one request to who keeps them.
                try connection.send((0..<5000).map { try SharedValue($0) })
                try connection.send(try SharedArray(repeating: 7, count: 100_000))
                try connection.send(try SharedArray(repeating: 8, count: 100_000))
                _ = die(.killed)
            }
            try child.start()
            try theirs.close()
            #expect(throws: WorkerTerminated.self) { try child.result() }
            let values = try mine.receive([SharedValue<Int>].self)
            #expect(values.indices.allSatisfy { values[$0].value == $0 })
            #expect(try mine.receive(SharedArray<Int>.self)[99_999] == 7)
            // The last one is never received.
            try mine.close()
            #expect(eventually { arena.objectsInUse <= before + 5000 })
            withExtendedLifetime(values) {}
        }

        @Test(arguments: StartMethod.all) func sharedObjectsOfMessagesGo(method: StartMethod) throws {
            let arena = try Arena.current()
            let before = arena.objectsInUse
            do {
                let (mine, theirs) = try pipe()
                let pool = try Pool(processes: 2, configuration: .init(method))
                let wrong = try SharedValue(0)
                // Between two workers, and one of them dies again and again, with messages of either sort on their way.
                for i in 0..<30 {
                    let sender = pool.applyAsync(sendValues, mine)
                    let receiver = pool.applyAsync(receiveValues, theirs, wrong)
                    usleep(UInt32(i * 100))
                    _ = i % 2 == 0 ? sender.cancel() : receiver.cancel()
                    _ = i % 2 == 0 ? receiver.cancel() : sender.cancel()
                }
                #expect(wrong.value == 0)
                try mine.close()
                try theirs.close()
                pool.terminate()
                try pool.join()
            }
            #expect(
                eventually { arena.objectsInUse <= before && DescriptorDepot.count == 0 }, "\(arena.objectsInUse) objects, \(before) before"
            )
        }

        @Test func nothingIsLeftOpen() throws {
            let arena = try Arena.current()
            let pool = try Pool(processes: 1)
            _ = try pool.map(0..<8, double)
            let before = arena.objectsInUse
            let lost = try leaks {
                for i in 0..<100 {
                    let (mine, theirs) = try pipe()
                    let task = pool.applyAsync(echo, theirs)
                    try mine.send([i])
                    #expect(try mine.receive([Int].self) == [i])
                    try mine.send([-1])
                    try task.get()
                    _ = try pool.apply(makePipe)
                }
                _ = try pool.map(0..<8, double)
                #expect(eventually { DescriptorDepot.count == 0 })
            }
            #expect(lost == [])
            #expect(eventually { (try? pool.map(0..<8, double)) != nil && arena.objectsInUse <= before })
            pool.close()
            try pool.join()
        }
    }
}

// What the workers do.

@Sendable private func echo(_ connection: Connection) throws {
    while true {
        let message = try connection.receive([Int].self)
        if message == [-1] { return }
        try connection.send(message)
    }
}

@Sendable private func sumOfAnswers(_ connection: Connection, _ count: Int) throws -> Int {
    var sum = 0
    for i in 0..<count {
        try connection.send([i])
        sum += try connection.receive([Int].self)[0]
    }
    try connection.send([-1])
    return sum
}

private nonisolated(unsafe) var kept: Connection?

@Sendable private func makePipe() throws -> Connection {
    let (mine, theirs) = try pipe()
    kept = mine
    return theirs
}

@Sendable private func receiveKept() throws -> String { try kept?.receive(String.self) ?? "nothing kept" }

private func messageSize(_ i: Int) -> Int { [2, 1000, 9000, 40][i % 4] }

@Sendable private func sendForEver(_ connection: Connection, _ sender: Int, _ begun: SharedValue<Int>) throws {
    begun.withLock { $0 += 1 }
    for i in 0... { try connection.send([sender, i] + [Int](repeating: i, count: messageSize(i) - 2)) }
}

@Sendable private func receiveForEver(_ connection: Connection, _ begun: SharedValue<Int>) throws {
    _ = try connection.receive([Int].self)
    begun.value = 1
    while true { _ = try connection.receive([Int].self) }
}

@Sendable private func sendValues(_ connection: Connection) throws {
    for i in 0... { try connection.send([SharedValue(i), SharedValue(-i)]) }
}

@Sendable private func receiveValues(_ connection: Connection, _ wrong: SharedValue<Int>) throws {
    while true {
        let values = try connection.receive([SharedValue<Int>].self)
        if values.count != 2 || values[0].value != -values[1].value { wrong.value = 1 }
    }
}

@Sendable private func dieWith(_ connection: Connection, _ tries: SharedValue<Int>) {
    tries.withLock { $0 += 1 }
    Death.killed.happen()
}

private func makeFile() -> Int32 {
    var name = Array("/tmp/mp-test-XXXXXX".utf8CString)
    let file = mkstemp(&name)
    unlink(name)
    return file
}
