import Glibc
import SystemLayer
import TestSupport
import Testing

@testable import SharedState

/// The memory of large messages, which is used again. One after the other, as they count descriptors.
@Suite(.serialized, .watchdog(seconds: 120)) struct MessageMemoryTests {
    /// How many of this process's descriptors are memory for messages.
    private var open: Int { Holdings.now().descriptors.count { $0.contains("multiprocessing-message") } }

    private func bytes(_ value: Int, count: Int = 200_000) -> [UInt8] { [UInt8](repeating: UInt8(value & 255), count: count) }

    @Test func isUsedAgainOnceItIsRead() throws {
        let before = open
        let (a, b) = try pipe()
        for i in 0..<50 {
            try a.send(bytes(i))
            #expect(try b.receive([UInt8].self) == bytes(i))
            #expect(open == before + 1)
        }
        // Shorter ones too.
        try a.send(bytes(1, count: 100_000))
        #expect(try b.receive([UInt8].self) == bytes(1, count: 100_000))
        #expect(open == before + 1)
        try a.close()
        #expect(open == before)
        withExtendedLifetime(b) {}
    }

    @Test func goesWithItsConnection() throws {
        let before = open
        for _ in 0..<3 {
            let (a, b) = try pipe()
            try a.send(bytes(1))
            _ = try b.receive([UInt8].self)
        }
        #expect(open == before)
    }

    @Test func isNotUsedAgainBeforeItIsRead() throws {
        let (a, b) = try pipe()
        for round in 0..<10 {
            var count = 0
            while count < 20, try a.send(bytes(round * 20 + count), timeout: .zero) { count += 1 }
            #expect(count > 1)
            for i in 0..<count { #expect(try b.receive([UInt8].self) == bytes(round * 20 + i)) }
        }
    }

    /// Messages of all sizes, some in memory and some not, larger and smaller than what is kept, on two threads.
    @Test func allSizesOnTheirWay() throws {
        let (a, b) = try pipe()
        let sizes = (0..<200).map { i in [100, 70_000, 900_000, 66_000, 3_000_000, 64 << 10][i * 7 % 6] + i }
        let sender = try inThread { for (i, size) in sizes.enumerated() { try a.send(bytes(i, count: size)) } }
        for (i, size) in sizes.enumerated() { #expect(try b.receive([UInt8].self) == bytes(i, count: size)) }
        try sender.get()
    }

    @Test func fewAreKept() throws {
        let before = open
        let (a, b) = try pipe()
        for i in 0..<40 {
            try a.send(bytes(i, count: 100_000 * (1 + i)))
            #expect(try b.receive([UInt8].self).count == 100_000 * (1 + i))
            #expect(open <= before + 5)
        }
        // Nobody reads these: their memory is never free again, and others take its place.
        for i in 0..<20 {
            try a.send(bytes(i))
            var numbers: [Int32] = []
            try withUnsafeTemporaryAllocation(byteCount: 1 << 17, alignment: 16) {
                guard case .done = try LocalSocket.receive(b.socket.number, into: $0, descriptors: &numbers) else { return }
            }
            for number in numbers { close(number) }
            #expect(numbers.count == 1)
            #expect(open <= before + 5)
        }
        try a.send(bytes(9))
        #expect(try b.receive([UInt8].self) == bytes(9))
    }

    @Test func valuesThatAreRefusedFreeIt() throws {
        let before = open
        let (a, b) = try pipe()
        for i in 0..<10 {
            try a.send(bytes(i))
            #expect(throws: DecodingError.self) { try b.receive([String].self) }
            #expect(open == before + 1)
        }
        // Nor does it stay with a message that was not sent.
        while try a.send(bytes(0), timeout: .zero) {}
        let sent = open
        for _ in 0..<20 { #expect(try !a.send(bytes(0), timeout: .zero)) }
        #expect(open <= sent + 1)
        withExtendedLifetime(b) {}
    }

    @Test(arguments: [1, 4095, 4096, 64 << 10, 100_000, 1 << 20, (1 << 20) + 1, 64 << 20]) func sizesLeaveLittleRoom(count: Int) {
        let size = MessageMemory.roomy(count)
        #expect(size >= count && size <= count + max(count / 16, 4096) + 4096)
        #expect((size + MessageMemory.head) % 4096 == 0)
        // Those that are about as large fit, too.
        #expect(MessageMemory.roomy(size) == size)
    }

    private func inThread<R: Sendable>(_ body: @escaping @Sendable () throws -> R) throws -> ThreadOutcome<R> {
        let outcome = ThreadOutcome<R>()
        try startThread(name: "test") { outcome.set(Result { try body() }) }
        return outcome
    }
}

/// What a thread comes to.
private final class ThreadOutcome<R: Sendable>: @unchecked Sendable {
    // Unchecked: guarded by the lock.
    private let lock = HostLock()
    private var result: Result<R, any Error>?

    func set(_ result: Result<R, any Error>) { lock.withLock { self.result = result } }

    func get() throws -> R {
        while true {
            if let result = lock.withLock({ result }) { return try result.get() }
            usleep(200)
        }
    }
}
