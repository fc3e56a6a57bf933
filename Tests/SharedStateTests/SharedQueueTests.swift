import Foundation
import Synchronization
import TestSupport
import Testing

@testable import SharedState

/// Shared queues within one process. One after the other, as they look at what is in the arena: where the tests of processes that ran before may have left something
/// that goes only now, and spare processes have a block each. So it may become less at any time, and a little more.
@Suite(.serialized, .watchdog(seconds: 120)) struct SharedQueueAloneTests {
    private let spares = 2
    private struct Refusal: Error, Equatable {}

    /// A value that is refused on its way in, or on its way out.
    private struct Picky: Codable, Sendable {
        var number: Int
        var text = ""
        func encode(to encoder: any Encoder) throws {
            var container = encoder.unkeyedContainer()
            try container.encode(text)
            if number == -1 { throw Refusal() }
            try container.encode(number)
        }
        init(_ number: Int, _ text: String = "") { (self.number, self.text) = (number, text) }
        init(from decoder: any Decoder) throws {
            var container = try decoder.unkeyedContainer()
            text = try container.decode(String.self)
            number = try container.decode(Int.self)
            if number == -2 { throw Refusal() }
        }
    }

    @Test func firstInFirstOut() throws {
        let queue = try SharedQueue<Int>(capacity: 5)
        #expect(queue.capacity == 5 && queue.isEmpty && !queue.isClosed)
        #expect(try queue.tryGet() == nil)
        // Often round the ring.
        var (put, got) = (0, 0)
        for step in 0..<1000 {
            for _ in 0...(step % 7) where try queue.tryPut(put) { put += 1 }
            #expect(queue.count == put - got && queue.count <= 5)
            for _ in 0...(step % 5) {
                guard let value = try queue.tryGet() else { break }
                #expect(value == got)
                got += 1
            }
        }
        #expect(put > 2000)
    }

    /// Numbers of eight bytes have a way of their own; they come out as they went in.
    @Test func numbersOfAllKinds() throws {
        func same<T: Codable & Sendable & Equatable>(_ values: [T]) throws {
            let queue = try SharedQueue<T>(capacity: values.count)
            for value in values { try queue.put(value) }
            #expect(try values.map { _ in try queue.get() } == values)
        }
        try same([Int.min, -1, 0, 1, .max, 0x0123_4567_89ab_cdef])
        try same([UInt64.min, 1, .max, 0xfedc_ba98_7654_3210])
        try same([0.0, -1.5, .pi, .infinity, .leastNonzeroMagnitude])
        try same([Int8.min, 0, .max])
        try same([UInt32.min, 7, .max])
        try same([true, false])
        try same([Int128.min, 0, .max])
        try same([Int?.none, 5, -5])
        let signed = try SharedQueue<Int64>(capacity: 4)
        #expect(SharedQueue<UInt64>.find(handle: signed.handle, isHeld: false) == nil)
    }

    @Test func aFullQueueTakesNothing() throws {
        let queue = try SharedQueue<String>(capacity: 1)
        try queue.put("a")
        #expect(try !queue.tryPut("b"))
        #expect(try !queue.put("b", timeout: .milliseconds(10)))
        #expect(queue.count == 1)
        #expect(try queue.get() == "a")
        #expect(try queue.put("b", timeout: .zero))
        #expect(try queue.get(timeout: .zero) == "b")
        #expect(try queue.get(timeout: .milliseconds(10)) == nil)
        #expect(try queue.get(timeout: .seconds(-1)) == nil)
    }

    @Test func impossibleCapacitiesAreErrors() throws {
        for capacity in [0, -1, .min, .max, .max / 64] {
            let error = try #require(throws: SharedMemoryError.self) { try SharedQueue<Int>(capacity: capacity) }
            #expect(error.description.contains("1 or more"))
        }
        #expect(throws: SharedMemoryError.self) { try SharedQueue<Int>(capacity: 1 << 45) }
    }

    @Test func valuesOfAllSizes() throws {
        let arena = try Arena.current()
        let queue = try SharedQueue<[UInt8]>(capacity: 3)
        let before = arena.blocksInUse
        func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ count) } }
        for round in 0..<2 {
            for count in [0, 1, 20, 38, 39, 40, 47, 48, 49, 100, 5000, 70_000, 300_000] {
                try queue.put(bytes(count))
                try queue.put(bytes(round))
                #expect(try queue.get() == bytes(count))
                #expect(try queue.get() == bytes(round))
            }
        }
        // What is large belongs to the queue's keeper, who needs one block for itself.
        #expect(arena.blocksInUse <= before + 1 + spares)
    }

    @Test func largeValuesTravelWhole() throws {
        let queue = try SharedQueue<[UInt64]>(capacity: 2)
        let large = [UInt64](repeating: 0x0123_4567_89ab_cdef, count: 8 << 20)
        try queue.put(large)
        try queue.put(large)
        #expect(try queue.get() == large)
        #expect(try queue.get() == large)
    }

    @Test func whatCannotBeEncodedLeavesTheQueueAsItWas() throws {
        let arena = try Arena.current()
        let queue = try SharedQueue<Picky>(capacity: 3)
        try queue.put(Picky(1, String(repeating: "x", count: 1000)))
        let before = arena.blocksInUse
        for _ in 0..<5 {
            #expect(throws: Refusal.self) { try queue.put(Picky(-1)) }
            #expect(throws: Refusal.self) { try queue.tryPut(Picky(-1, String(repeating: "x", count: 100_000))) }
        }
        #expect(queue.count == 1 && arena.blocksInUse <= before + spares)
        #expect(try queue.get().number == 1)
        // The first of their objects is one that cannot travel.
        struct Foreign: Codable, Sendable {
            let array: SharedArray<Int>
            let next: Picky
        }
        let foreign = try SharedQueue<Foreign>(capacity: 1)
        let array = try SharedArray([1])
        let objects = arena.objectsInUse
        #expect(throws: Refusal.self) { try foreign.put(Foreign(array: array, next: Picky(-1))) }
        #expect(foreign.isEmpty && arena.objectsInUse <= objects)
    }

    @Test func whatCannotBeDecodedFailsOneGet() throws {
        let arena = try Arena.current()
        let queue = try SharedQueue<Picky>(capacity: 5)
        try queue.put(Picky(1, String(repeating: "x", count: 1000)))
        _ = try queue.get()
        let before = arena.blocksInUse
        for _ in 0..<5 {
            for number in [1, -2, 3] { try queue.put(Picky(number, String(repeating: "x", count: 1000))) }
            #expect(try queue.get().number == 1)
            #expect(throws: Refusal.self) { try queue.get() }
            #expect(try queue.get().number == 3)
        }
        #expect(arena.blocksInUse <= before + spares)
    }

    @Test func closing() throws {
        let queue = try SharedQueue<Int>(capacity: 3)
        try queue.put(1)
        try queue.put(2)
        queue.close()
        queue.close()
        #expect(queue.isClosed)
        let error = try #require(throws: QueueClosed.self) { try queue.put(3) }
        #expect(error.description.contains("closed"))
        #expect(throws: QueueClosed.self) { try queue.tryPut(3) }
        #expect(throws: QueueClosed.self) { try queue.put(3, timeout: .seconds(1)) }
        #expect(try queue.get() == 1)
        #expect(try queue.tryGet() == 2)
        #expect(throws: QueueClosed.self) { try queue.get() }
        #expect(throws: QueueClosed.self) { try queue.tryGet() }
        #expect(throws: QueueClosed.self) { try queue.get(timeout: .seconds(1)) }
        // A full one, too.
        let full = try SharedQueue<Int>(capacity: 1)
        try full.put(1)
        full.close()
        #expect(throws: QueueClosed.self) { try full.put(2) }
        #expect(throws: QueueClosed.self) { try full.tryPut(2) }
    }

    @Test func closingTellsThoseThatWait() throws {
        let (empty, full) = (try SharedQueue<Int>(capacity: 1), try SharedQueue<Int>(capacity: 1))
        try full.put(0)
        let told = Atomic<Int>(0)
        let threads = try Threads(6) { index in
            do {
                if index % 2 == 0 { _ = try empty.get() } else { try full.put(index) }
            } catch is QueueClosed {
                told.wrappingAdd(1, ordering: .relaxed)
            } catch {}
        }
        // Whether they wait already makes no difference to what they are told.
        usleep(20_000)
        empty.close()
        full.close()
        threads.join()
        let toldInAll = told.load(ordering: .relaxed)
        #expect(toldInAll == 6)
    }

    @Test(arguments: [1, 3, 100]) func everyValueIsGotOnceBetweenThreads(capacity: Int) throws {
        let queue = try SharedQueue<[Int]>(capacity: capacity)
        let each = 5000
        let seen = (0..<3 * each).map { _ in Counted() }
        let inOrder = Atomic<Bool>(true)
        let getters = try Threads(3) { _ in
            var last = [-1, -1, -1]
            while let value = try? queue.get() {
                seen[value[0] * each + value[1]].count.wrappingAdd(1, ordering: .relaxed)
                // Of one putter, each getter sees the values in their order.
                if value[1] <= last[value[0]] { inOrder.store(false, ordering: .relaxed) }
                last[value[0]] = value[1]
            }
        }
        let putters = try Threads(3) { putter in
            // Some have a block.
            for i in 0..<each { try? queue.put([putter, i] + Array(repeating: 0, count: i % 10)) }
        }
        putters.join()
        queue.close()
        getters.join()
        #expect(seen.allSatisfy { $0.count.load(ordering: .relaxed) == 1 })
        let isInOrder = inOrder.load(ordering: .relaxed)
        #expect(isInOrder)
    }

    @Test func objectsInsideStayAndGo() throws {
        let arena = try Arena.current()
        let before = (arena.objectsInUse, arena.blocksInUse)
        do {
            let queue = try SharedQueue<[SharedValue<Int>]>(capacity: 100)
            // Many objects, some of them in several messages, or twice in one.
            for round in 0..<3 {
                let values = try (0..<20).map { try SharedValue($0) }
                for i in 0..<20 { try queue.put([values[i], values[i / 2], values[i]]) }
                for i in 0..<10 { try queue.put(Array(values[...i])) }
                let own = values.map(\.handle)
                #expect(queue.count == 30)
                for i in 0..<20 {
                    let got = try queue.get()
                    #expect(got.map(\.value) == [i, i / 2, i] && got[0].handle == own[i])
                }
                if round < 2 { for i in 0..<10 { #expect(try queue.get().map(\.value) == Array(0...i)) } }
            }
            // The queue, ten of whose messages name the last ten objects, has these and no others.
            #expect(arena.objectsInUse <= before.0 + 1 + 10)
            for i in 0..<9 { #expect(try queue.get().map(\.value) == Array(0...i)) }
            #expect(arena.objectsInUse <= before.0 + 1 + 10)
            let last = try queue.get()
            #expect(last.map(\.value) == Array(0..<10))
            for i in 0..<30 { try queue.put([last[i % 10]]) }
        }
        // Whatever was left in it.
        #expect(arena.objectsInUse <= before.0 && arena.blocksInUse <= before.1 + spares)
    }

    /// Objects that have something to settle when a holder goes: the queue does so when it is freed.
    @Test func locksAndBarriersGoWithTheQueue() throws {
        let arena = try Arena.current()
        let before = arena.objectsInUse
        let kept = try SharedBarrier(parties: 2)
        do {
            let locks = try SharedQueue<SharedReadWriteLock>(capacity: 2)
            for _ in 0..<2 { try locks.put(SharedReadWriteLock()) }
            let barriers = try SharedQueue<SharedBarrier>(capacity: 2)
            try barriers.put(SharedBarrier(parties: 2))
            try barriers.put(kept)
        }
        #expect(arena.objectsInUse <= before + 1)
        #expect(!kept.isBroken, "nobody has died")
    }

    /// Values whose size is known only when they have been encoded begin small and grow: they come back to where there is room.
    @Test func memoryStaysWhereItIs() throws {
        let arena = try Arena.current()
        let queue = try SharedQueue<[String]>(capacity: 3)
        func pass(_ counts: [Int]) throws {
            for count in counts { try queue.put((0..<count).map { "string \($0)" }) }
            for count in counts { #expect(try queue.get().count == count) }
        }
        for _ in 0..<3 { try pass([10_000, 3_000, 10_000]) }
        let before = arena.committedGranules
        for round in 0..<60 { try pass([10_000, 1_000 + 100 * round, 10_000 - 100 * round]) }
        #expect(arena.committedGranules <= before + 16, "no more than three values of 200 KB at a time")
    }

    @Test func queuesInQueues() throws {
        let arena = try Arena.current()
        let before = (arena.objectsInUse, arena.blocksInUse)
        do {
            let outer = try SharedQueue<SharedQueue<SharedQueue<[Int]>>>(capacity: 2)
            do {
                let middle = try SharedQueue<SharedQueue<[Int]>>(capacity: 2)
                let inner = try SharedQueue<[Int]>(capacity: 2)
                try inner.put(Array(0..<100))
                try middle.put(inner)
                try outer.put(middle)
                try outer.put(try SharedQueue(capacity: 1))
            }
            #expect(arena.objectsInUse <= before.0 + 4)
            #expect(try outer.get().get().get() == Array(0..<100))
            let middle = try SharedQueue<SharedQueue<[Int]>>(capacity: 2)
            let inner = try SharedQueue<[Int]>(capacity: 2)
            try inner.put(Array(0..<100))
            try middle.put(inner)
            try outer.put(middle)
        }
        #expect(arena.objectsInUse <= before.0 && arena.blocksInUse <= before.1 + spares)
    }

    @Test func foreignEncodersAreRefused() throws {
        #expect(throws: EncodingError.self) { try JSONEncoder().encode([SharedQueue<Int>(capacity: 1)]) }
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([SharedQueue<Int>].self, from: Data("[1]".utf8)) }
    }

    // MARK: Asynchronous

    @Test func asynchronousFunctionsPutAndGet() async throws {
        let queue = try SharedQueue<Int>(capacity: 2)
        async let sum = {
            var sum = 0
            for try await value in queue.async { sum += value }
            return sum
        }()
        for i in 1...500 { try await queue.async.put(i) }
        queue.close()
        #expect(try await sum == 500 * 501 / 2)
        await #expect(throws: QueueClosed.self) { try await queue.async.put(1) }
        await #expect(throws: QueueClosed.self) { try await queue.async.get() }
    }

    @Test func asynchronousWaitsEnd() async throws {
        let queue = try SharedQueue<Int>(capacity: 1)
        #expect(try await queue.async.get(timeout: .milliseconds(5)) == nil)
        try await queue.async.put(1)
        #expect(try await !queue.async.put(2, timeout: .milliseconds(5)))
        let putter = Task { try await queue.async.put(2) }
        putter.cancel()
        await #expect(throws: CancellationError.self) { try await putter.value }
        #expect(try await queue.async.get(timeout: .seconds(1)) == 1)
        #expect(queue.isEmpty, "nothing was put by who was cancelled")
        let getters = (0..<4).map { _ in Task { try await queue.async.get() } }
        getters[0].cancel()
        getters[2].cancel()
        // These have ended before there is anything to get.
        await #expect(throws: CancellationError.self) { try await getters[0].value }
        await #expect(throws: CancellationError.self) { try await getters[2].value }
        try await queue.async.put(7)
        try await queue.async.put(8)
        let got = [try await getters[1].value, try await getters[3].value]
        #expect(got.sorted() == [7, 8])
    }
}

private final class Counted: Sendable { let count = Atomic<Int>(0) }

/// Threads that are waited for.
private final class Threads: @unchecked Sendable {
    // Unchecked: used by one thread.
    private var threads: [Thread] = []
    private let ended = DispatchSemaphore(value: 0)

    init(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) throws {
        for index in 0..<count {
            let thread = Thread { [ended] in
                body(index)
                ended.signal()
            }
            thread.start()
            threads.append(thread)
        }
    }

    func join() { for _ in threads { ended.wait() } }
}
