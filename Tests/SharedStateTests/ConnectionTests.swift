import Foundation
import SharedState
import Synchronization
import SystemLayer
import TestSupport
import Testing

/// Connections between the threads of one process.
@Suite(.watchdog(seconds: 120), .serialized) struct ConnectionAloneTests {
    private struct Letter: Codable, Equatable, Sendable {
        var number: Int
        var text: String
        var maybe: [Double?]
    }

    @Test func valuesArriveInOrder() throws {
        let (a, b) = try pipe()
        let letter = Letter(number: 7, text: "äöü", maybe: [1, nil, 3])
        try a.send(letter)
        try a.send(1)
        try a.send("two")
        try a.send(Int?.none)
        try b.send([UInt8](repeating: 9, count: 3))
        #expect(try b.receive(Letter.self) == letter)
        #expect(try b.receive(Int.self) == 1)
        #expect(try b.receive() == "two")
        #expect(try b.receive(Int?.self) == nil)
        #expect(try a.receive([UInt8].self) == [9, 9, 9])
    }

    // Around the size from which on bytes travel in memory of their own, and far beyond what a socket holds.
    @Test(arguments: [0, 1, 500, 512, 513, 65_400, 65_536, 65_537, 200_000, 5_000_000, 64 << 20]) func sizes(count: Int) throws {
        let pattern = (0..<64).map { UInt8($0) }
        var bytes = pattern
        while bytes.count < count { bytes += bytes }
        bytes.removeLast(bytes.count - count)
        let (a, b) = try pipe()
        try a.send(bytes)
        try a.send(count)
        #expect(try b.receive([UInt8].self) == bytes)
        #expect(try b.receive(Int.self) == count)
        let words = [String](repeating: "word", count: min(count, 100_000))
        try a.send(words)
        #expect(try b.receive([String].self) == words)
    }

    /// An administrator may allow sockets hardly any room.
    @Test func socketsWithoutRoom() throws {
        let (a, b) = try pipe()
        var bytes: Int32 = 1
        #expect(setsockopt(a.socket.number, SOL_SOCKET, SO_SNDBUF, &bytes, 4) == 0)
        for count in [10, 1000, 10_000, 60_000, 200_000] {
            try a.send([UInt8](repeating: 7, count: count))
            try b.send(count)
            #expect(try b.receive([UInt8].self) == [UInt8](repeating: 7, count: count))
            #expect(try a.receive(Int.self) == count)
            try a.send(descriptor: 0)
            _ = try b.receiveDescriptor()
        }
    }

    @Test func wrongTypeFailsThatMessageAlone() throws {
        let (a, b) = try pipe()
        try a.send("text")
        try a.send([String](repeating: "much text", count: 20_000))
        try a.send(5)
        #expect(throws: DecodingError.self) { try b.receive(Int.self) }
        #expect(throws: DecodingError.self) { try b.receive(Int.self) }
        #expect(try b.receive(Int.self) == 5)
    }

    private struct Unwilling: Codable, Sendable {
        struct Refusal: Error {}
        init() {}
        init(from decoder: any Decoder) throws {}
        func encode(to encoder: any Encoder) throws { throw Refusal() }
    }

    @Test func whatCannotBeEncodedIsNotSent() throws {
        let (a, b) = try pipe()
        #expect(throws: Unwilling.Refusal.self) { try a.send(Unwilling()) }
        #expect(try !b.poll())
        #expect(throws: EncodingError.self) { try JSONEncoder().encode([a]) }
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([Connection].self, from: Data("[1]".utf8)) }
    }

    // MARK: Its end

    @Test func endOfStreamComesAfterTheLastMessage() throws {
        let (a, b) = try pipe()
        try a.send(1)
        // Not read by anybody, which must not hide what the other end has sent.
        try b.send("unread")
        try a.close()
        #expect(try b.poll())
        #expect(try b.receive(Int.self) == 1)
        for _ in 0..<2 { #expect(throws: ConnectionError.endOfStream) { try b.receive(Int.self) } }
        #expect(throws: ConnectionError.endOfStream) { try b.receive(Int.self, timeout: .seconds(100)) }
        #expect(throws: ConnectionError.endOfStream) { try b.send(1) }
        #expect(try b.poll())
        #expect(throws: ConnectionError.closed) { try a.send(1) }
        #expect(throws: ConnectionError.closed) { try a.receive(Int.self) }
        #expect(throws: ConnectionError.closed) { try a.poll() }
        try a.close()
    }

    @Test func droppedEndIsClosed() throws {
        let b = try pipe().1
        #expect(throws: ConnectionError.endOfStream) { try b.receive(Int.self) }
    }

    /// Runs `body` on a thread of its own.
    private func inThread<R: Sendable>(_ body: @escaping @Sendable () throws -> R) throws -> ThreadResult<R> {
        let result = ThreadResult<R>()
        try startThread(name: "test") { result.set(Result { try body() }) }
        return result
    }

    @Test func closingTellsThoseWhoWait() throws {
        for wait in [Duration.zero, .milliseconds(20)] {
            let (a, b) = try pipe()
            try fill(a)
            let receivers = try (0..<3).map { _ in try inThread { try a.receive(Int.self) } }
            let poller = try inThread { try a.poll(timeout: .seconds(1000)) }
            let sender = try inThread { try a.send(1) }
            // They may be told in the midst of it, or before they have begun: of both there should be some.
            _ = try b.poll(timeout: .zero)
            usleep(UInt32(wait.nanoseconds / 1000))
            try a.close()
            for receiver in receivers { #expect(throws: ConnectionError.closed) { try receiver.get() } }
            #expect(throws: ConnectionError.closed) { try poller.get() }
            #expect(throws: ConnectionError.closed) { try sender.get() }
            // Nobody keeps it open any more.
            #expect(throws: ConnectionError.endOfStream) { while true { _ = try b.receive([UInt8].self) } }
        }
    }

    @Test func senderIsToldThatNobodyReceives() throws {
        let (a, b) = try pipe()
        try fill(a)
        let sender = try inThread { try a.send(1) }
        let other = try inThread { try a.send([UInt8](repeating: 0, count: 1 << 20)) }
        try b.close()
        #expect(throws: ConnectionError.endOfStream) { try sender.get() }
        #expect(throws: ConnectionError.endOfStream) { try other.get() }
    }

    /// Sends until there is no more room.
    @discardableResult
    private func fill(_ connection: Connection) throws -> Int {
        var count = 0
        while try connection.send([UInt8](repeating: UInt8(count & 255), count: 60_000), timeout: .zero) { count += 1 }
        return count
    }

    @Test func sendWaitsForRoom() throws {
        let (a, b) = try pipe()
        let count = try fill(a)
        #expect(count > 0)
        #expect(try !a.send(1, timeout: .milliseconds(5)))
        let sender = try inThread { try a.send("through") }
        for i in 0..<count { #expect(try b.receive([UInt8].self) == [UInt8](repeating: UInt8(i & 255), count: 60_000)) }
        #expect(try b.receive(String.self) == "through")
        try sender.get()
        var large = 0
        while try a.send([UInt8](repeating: 0, count: 100_000), timeout: .zero) { large += 1 }
        #expect(large < 10, "large messages are not piled up in memory")
    }

    @Test func timeouts() throws {
        let (a, b) = try pipe()
        #expect(try b.receive(Int.self, timeout: .zero) == nil)
        #expect(try b.receive(Int.self, timeout: .milliseconds(3)) == nil)
        #expect(try !b.poll(timeout: .milliseconds(3)))
        try a.send(1)
        #expect(try b.poll(timeout: .seconds(1000)))
        #expect(try b.receive(Int.self, timeout: .zero) == 1)
    }

    @Test func manySendersAndReceivers() async throws {
        let (a, b) = try pipe()
        let (senders, each) = (6, 400)
        func message(_ sender: Int, _ i: Int) -> [Int] {
            [sender, i] + [Int](repeating: sender * each + i, count: [0, 5, 3000, 9000][i % 4])
        }
        let got = try await withThrowingTaskGroup(of: [[Int]].self) { group in
            for sender in 0..<senders {
                group.addTask {
                    for i in 0..<each { try await a.async.send(message(sender, i)) }
                    return []
                }
            }
            for _ in 0..<4 {
                group.addTask {
                    var got: [[Int]] = []
                    while true {
                        let one = try await b.async.receive([Int].self)
                        if one.isEmpty { return got }
                        got.append(one)
                    }
                }
            }
            var got: [[Int]] = []
            var ended = 0
            for try await part in group {
                ended += 1
                got += part
                // The senders return first, as the receivers wait for these.
                if ended == senders { for _ in 0..<4 { try a.send([Int]()) } }
            }
            return got
        }
        #expect(got.count == senders * each)
        #expect(Set(got) == Set((0..<senders).flatMap { s in (0..<each).map { message(s, $0) } }))
    }

    // MARK: Descriptors

    private struct Parcel: Codable, Sendable {
        var name: String
        var files: [SharedDescriptor]
        var reply: Connection
    }

    @Test func descriptorsTravel() throws {
        let lost = try leaks {
            let (a, b) = try pipe()
            var ends: [Int32] = [0, 0]
            #expect(pipe(&ends) == 0, "the C library's is still there")
            defer { for end in ends { close(end) } }
            try a.send(descriptor: ends[1])
            let received = try b.receiveDescriptor()
            received.withNumberOrFail { number in
                #expect(number != ends[1] && fcntl(number, F_GETFD) & FD_CLOEXEC != 0)
                #expect(write(number, "x", 1) == 1)
            }
            var byte: UInt8 = 0
            #expect(read(ends[0], &byte, 1) == 1 && byte == UInt8(ascii: "x"))
            let (c, d) = try pipe()
            let files = try ends.map { try SharedDescriptor(duplicating: $0) }
            try a.send(Parcel(name: "p", files: files + files, reply: d))
            try d.close()
            let parcel = try b.receive(Parcel.self)
            #expect(parcel.name == "p" && parcel.files.count == 4)
            try parcel.reply.send("thanks")
            #expect(try c.receive(String.self) == "thanks")
            parcel.files[1].withNumberOrFail { #expect(write($0, "y", 1) == 1) }
            parcel.files[2].withNumberOrFail { #expect(read($0, &byte, 1) == 1 && byte == UInt8(ascii: "y")) }
            // Nobody receives these, or not as what they are.
            try a.send(descriptor: 0)
            try a.send(Parcel(name: String(repeating: "long", count: 50_000), files: files, reply: c))
            #expect(throws: DecodingError.self) { try b.receive(String.self) }
            #expect(throws: DecodingError.self) { try b.receive(Int.self) }
            try a.send(files[0])
            #expect(throws: DecodingError.self) { try b.receive(Connection.self) }
            try a.send(files)
            try a.send(b)
            files[0].close()
            #expect(throws: ConnectionError.closed) { try files[0].withNumber { _ in } }
            #expect(throws: ConnectionError.closed) { try a.send(files) }
        }
        #expect(lost == [])
    }

    @Test func sharedObjectsTravel() throws {
        let arena = try Arena.current()
        // The depot's socket stays.
        DescriptorDepot.open()
        let before = arena.objectsInUse
        let lost = try leaks {
            let (a, b) = try pipe()
            var values: [SharedValue<Int>]? = try (0..<3).map { try SharedValue($0) }
            try a.send(values)
            let other = try #require(values?[1])
            values = nil
            #expect(arena.objectsInUse == before + 3, "the message holds them")
            try a.send(5)
            let received = try b.receive([SharedValue<Int>].self)
            #expect(received.map(\.value) == [0, 1, 2])
            other.value = 7
            #expect(received[1].value == 7)
            // Not decoded as what they are, never received, and never sent.
            for _ in 0..<2 { try a.send(SharedArray<UInt8>(repeating: 1, count: 100_000)) }
            #expect(try b.receive(Int.self) == 5)
            #expect(throws: DecodingError.self) { try b.receive(Int.self) }
            try fill(a)
            #expect(try !a.send(SharedArray<UInt8>(repeating: 1, count: 100_000), timeout: .zero))
        }
        #expect(lost == [])
        #expect(eventually { arena.objectsInUse == before }, "\(arena.objectsInUse) objects, \(before) before")
    }

    @Test func tooManyDescriptorsForOneMessage() throws {
        let (a, b) = try pipe()
        let one = try SharedDescriptor(duplicating: 0)
        #expect(throws: SharedMemoryError.self) { try a.send([SharedDescriptor](repeating: one, count: 252)) }
        try a.send([SharedDescriptor](repeating: one, count: 251))
        #expect(try b.receive([SharedDescriptor].self).count == 251)
        #expect(throws: SystemError.self) { try a.send(descriptor: 1_000_000) }
    }

    @Test func foreignBytesAreRefused() throws {
        let (a, b) = try pipe()
        for bytes: [UInt8] in [[1], [UInt8](repeating: 0, count: 16), [UInt8](repeating: 255, count: 5000)] {
            #expect(send(a.socket.number, bytes, bytes.count, 0) == bytes.count)
            #expect(throws: DecodingError.self) { try b.receive(Int.self) }
        }
        // Claims to be 2^60 bytes long, in memory that it has not brought.
        for flags: UInt64 in [0, 1, 2, 3] {
            let words: [UInt64] = [0x4d50_6d73 | flags << 32, 1 << 60, 0]
            #expect(send(a.socket.number, words, 24, 0) == 24)
            #expect(throws: DecodingError.self) { try b.receive([UInt8].self) }
        }
        try a.send(1)
        #expect(try b.receive(Int.self) == 1)
    }

    // MARK: Asynchronous

    @Test func receivesWaitWithoutThreads() async throws {
        // Far more than there are threads to be held up.
        let pipes = try (0..<100).map { _ in try pipe() }
        let sum = try await withThrowingTaskGroup(of: Int.self) { group in
            for (_, b) in pipes { group.addTask { try await b.async.receive(Int.self) } }
            group.addTask {
                for (i, (a, _)) in pipes.enumerated().reversed() { try await a.async.send(i) }
                return 0
            }
            return try await group.reduce(0, +)
        }
        #expect(sum == 4950)
    }

    @Test func cancelledReceiveLosesNothing() async throws {
        let (a, b) = try pipe()
        var received = 0
        var cancelled = 0
        for i in 0..<500 {
            let task = Task { try await b.async.receive(Int.self) }
            if i % 3 == 0 { await Task.yield() }
            if i % 2 == 0 { try a.send(i) }
            task.cancel()
            do {
                _ = try await task.value
                received += 1
            } catch is CancellationError { cancelled += 1 }
        }
        while try await b.async.receive(Int.self, timeout: .zero) != nil { received += 1 }
        #expect(received == 250 && cancelled >= 250)
        let sender = Task {
            while true { try await a.async.send([UInt8](repeating: 0, count: 50_000)) }
        }
        #expect(try await b.async.poll(timeout: .seconds(1000)))
        sender.cancel()
        await #expect(throws: CancellationError.self) { try await sender.value }
    }

    @Test func asyncTimeoutsAndEnds() async throws {
        let (a, b) = try pipe()
        #expect(try await b.async.receive(Int.self, timeout: .milliseconds(3)) == nil)
        #expect(try await !b.async.poll(timeout: .milliseconds(3)))
        #expect(try await b.async.receiveDescriptor(timeout: .milliseconds(3)) == nil)
        #expect(try b.receiveDescriptor(timeout: .milliseconds(3)) == nil)
        #expect(try await a.async.send(descriptor: 0, timeout: .seconds(1000)))
        #expect(try a.send(descriptor: 0, timeout: .seconds(1000)))
        #expect(try await b.async.receiveDescriptor(timeout: .seconds(1000)) != nil)
        #expect(try b.receiveDescriptor(timeout: .seconds(1000)) != nil)
        let waiting = Task { try await b.async.receive(Int.self) }
        try await a.async.send(descriptor: 0)
        await #expect(throws: DecodingError.self) { try await waiting.value }
        let others = (0..<4).map { _ in Task { try await b.async.receive(Int.self) } }
        for _ in 0..<4 { await Task.yield() }
        try b.close()
        for task in others { await #expect(throws: ConnectionError.closed) { try await task.value } }
        await #expect(throws: ConnectionError.endOfStream) { try await a.async.receive(Int.self) }
    }

    @Test func nothingIsLeftOpen() throws {
        // The service's own.
        _ = try? pipe().0.receive(Int.self)
        let lost = try leaks {
            for i in 0..<300 {
                let (a, b) = try pipe()
                #expect(try b.receive(Int.self, timeout: .microseconds(1)) == nil)
                try a.send([Int](repeating: i, count: i * 100))
                if i % 2 == 0 { _ = try b.receive([Int].self) }
                if i % 3 == 0 { try a.close() }
            }
        }
        #expect(lost == [])
    }
}

extension SharedDescriptor {
    fileprivate func withNumberOrFail(_ body: (Int32) -> Void) {
        #expect(throws: Never.self) { try withNumber(body) }
    }
}

/// What a thread has come to, for another that waits for it.
final class ThreadResult<R: Sendable>: @unchecked Sendable {
    // Unchecked: set once, before the word says so.
    private var result: Result<R, any Error>?
    private let word = FutexWord.makeFutexWord()

    func set(_ result: Result<R, any Error>) {
        self.result = result
        word.pointee.store(1, ordering: .releasing)
        word.wakeAll()
    }

    var isSet: Bool { word.pointee.load(ordering: .acquiring) != 0 }

    func get() throws -> R {
        while !isSet { word.wait(while: 0) }
        guard let result else { throw CancellationError() }
        return try result.get()
    }

    deinit { word.deallocate() }
}
