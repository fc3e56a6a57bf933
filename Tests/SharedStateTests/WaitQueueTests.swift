import Glibc
import Synchronization
import SystemLayer
import TestSupport
import Testing

@testable import SharedState

/// Waiting in a queue, within one process; the tests of what is built on it have several.
@Suite(.watchdog(seconds: 120)) struct WaitQueueTests {
    /// A queue, and a number that its threads wait to be above 0, which each then makes one less.
    final class Scene: @unchecked Sendable {
        // Unchecked: all that changes is atomic.
        let arena: Arena
        let queue: WaitQueue
        let number = Atomic<Int>(0)
        let woken = Atomic<Int>(0)
        private let block: Int

        init() throws {
            arena = try Arena.current()
            block = try arena.allocate(WaitQueue.size)
            (arena.base + block).initializeMemory(as: UInt8.self, repeating: 0, count: WaitQueue.size)
            queue = WaitQueue(at: block, in: arena)
        }

        var entries: [WaitEntry] { (0..<WaitQueue.capacity).map { place($0).load() } }
        var waiting: Int { entries.count { $0.isWaiting } }
        var used: Int { entries.count { $0 != .free } }
        /// How many entries notifiers look at.
        var inUse: Int { Int(arena.word(queue.offset).pointee.load(ordering: .acquiring) & 0xffff_ffff) }
        func place(_ index: Int) -> WaitEntryPlace { WaitEntryPlace(queue.offset + WaitQueue.entries + 8 * index, in: arena) }

        func take() -> Int? {
            var current = number.load(ordering: .sequentiallyConsistent)
            while current > 0 {
                let (exchanged, original) = number.compareExchange(
                    expected: current, desired: current - 1, ordering: .sequentiallyConsistent)
                if exchanged { return current }
                current = original
            }
            return nil
        }

        func give(_ count: Int = 1) {
            queue.whileChanging {
                number.add(count, ordering: .sequentiallyConsistent)
                queue.notify(count)
            }
        }

        /// Runs `body` on a thread, and returns when one more waits.
        func startWaiter(_ body: @escaping @Sendable () -> Void) throws -> Ended {
            let before = waiting
            let ended = Ended()
            try startThread(name: "waiter") {
                body()
                ended.end()
            }
            #expect(eventually { waiting == before + 1 })
            return ended
        }
    }

    final class Ended: Sendable {
        private let flag = Atomic<Bool>(false)
        func end() { flag.store(true, ordering: .sequentiallyConsistent) }
        var hasEnded: Bool { flag.load(ordering: .sequentiallyConsistent) }
        func wait() { #expect(eventually { hasEnded }) }
    }

    @Test func firstComeFirstServed() throws {
        let scene = try Scene()
        let order = Atomic<Int>(0)
        var ended: [Ended] = []
        for index in 0..<5 {
            ended.append(
                try scene.startWaiter {
                    _ = try? scene.queue.wait(until: .never) { scene.take() }
                    let place = order.add(1, ordering: .sequentiallyConsistent).oldValue
                    #expect(place == index)
                })
        }
        for index in 0..<5 {
            scene.give()
            ended[index].wait()
            #expect(scene.waiting == 4 - index)
        }
        // Nobody looks through entries that were needed once.
        scene.give(0)
        scene.queue.notify()
        #expect(scene.inUse == 0)
        #expect(scene.used == 0)
    }

    @Test func aDeadlineEndsTheWait() throws {
        let scene = try Scene()
        #expect(try scene.queue.wait(until: Deadline(after: .milliseconds(20))) { scene.take() } == nil)
        #expect(try scene.queue.wait(until: Deadline(after: .zero)) { scene.take() } == nil)
        #expect(scene.used == 0)
        scene.give(2)
        #expect(try scene.queue.wait(until: Deadline(after: .zero)) { scene.take() } == 2)
        #expect(try scene.queue.wait(until: .never) { scene.take() } == 1)
    }

    /// What one is notified of and does not use wakes another.
    @Test func aNotificationThatIsNotUsedIsPassedOn() throws {
        struct Trouble: Error {}
        let scene = try Scene()
        let isNotified = Atomic<Bool>(false)
        let failed = try scene.startWaiter {
            #expect(throws: Trouble.self) {
                try scene.queue.wait(until: .never) {
                    if isNotified.load(ordering: .sequentiallyConsistent) { throw Trouble() }
                    return nil as Int?
                }
            }
        }
        let second = try scene.startWaiter { _ = try? scene.queue.wait(until: .never) { scene.take() } }
        isNotified.store(true, ordering: .sequentiallyConsistent)
        scene.give()
        failed.wait()
        second.wait()
        #expect(scene.number.load(ordering: .sequentiallyConsistent) == 0)
        #expect(scene.used == 0)
    }

    /// A notification that comes while one succeeds by itself may be of another change: it wakes another.
    @Test func aNotificationThatWasNotNeededIsPassedOn() throws {
        let scene = try Scene()
        let other = try scene.startWaiter { _ = try? scene.queue.wait(until: .never) { scene.take() } }
        let attempts = Atomic<Int>(0)
        // Enters second; is the one to be notified only because the first looks again just then.
        let place = scene.place(0)
        _ = try scene.queue.wait(until: .never) { () -> Int? in
            guard attempts.add(1, ordering: .sequentiallyConsistent).newValue == 2 else { return nil }
            let entry = place.load()
            #expect(place.replace(entry, by: .free))
            scene.give()
            // Now the other is in the queue again, and this one has been notified.
            place.store(entry.changed(to: .awake))
            return 7
        }
        // The other looks only when it is woken.
        place.sleepingWord.wake()
        other.wait()
        #expect(scene.used == 0)
    }

    @Test func theDeadAreSettled() throws {
        let scene = try Scene()
        // A thread that has ended: its record is another's, or nobody's.
        let dead = WaitEntry(.awake, token: 0x1fff | 5 << 13, ticket: 0)
        // One that waits is passed over.
        scene.place(0).store(dead.changed(to: .asleep))
        let waiter = try scene.startWaiter { _ = try? scene.queue.wait(until: .never) { scene.take() } }
        scene.give()
        waiter.wait()
        #expect(scene.used == 0)
        // One that was notified swallows nothing.
        let next = try scene.startWaiter { _ = try? scene.queue.wait(until: .never) { scene.take() } }
        scene.place(1).store(dead.changed(to: .notified))
        scene.number.store(1, ordering: .sequentiallyConsistent)
        scene.queue.settle(waiter: dead.token)
        next.wait()
        #expect(scene.used == 0)
        // One that has changed something, and told nobody.
        let last = try scene.startWaiter { _ = try? scene.queue.wait(until: .never) { scene.take() } }
        onThreadThatEnds {
            _ = ThreadRecords.currentToken(in: scene.arena)
            ThreadRecords.enter(UInt64(scene.queue.offset) | ThreadRecords.Listed.notifier.rawValue)
            scene.number.store(1, ordering: .sequentiallyConsistent)
        }
        last.wait()
        #expect(scene.used == 0)
    }

    @Test func whereThereIsNoRoomOneLooksByOneself() throws {
        let scene = try Scene()
        let token = ThreadRecords.currentToken(in: scene.arena)
        for index in 0..<WaitQueue.capacity { scene.place(index).store(WaitEntry(.cancelled, token: token, ticket: 0)) }
        #expect(try scene.queue.wait(until: Deadline(after: .milliseconds(5))) { scene.take() } == nil)
        let attempts = Atomic<Int>(0)
        let result = try scene.queue.wait(until: .never) { attempts.add(1, ordering: .relaxed).newValue == 4 ? 4 : nil }
        #expect(result == 4)
        // Once there is room, it waits there.
        let entered = try scene.queue.wait(until: .never) {
            if attempts.add(1, ordering: .relaxed).newValue == 7 { scene.place(9).store(.free) }
            return scene.place(9).load().phase == .awake ? 9 : nil
        }
        #expect(entered == 9)
        #expect(scene.place(9).load() == .free)
    }

    @Test func aWaitIsCancelled() throws {
        let scene = try Scene()
        let cancellation = WaitCancellation()
        let waiter = try scene.startWaiter {
            #expect(throws: CancellationError.self) {
                try scene.queue.wait(until: .never, cancellation: cancellation) { scene.take() }
            }
        }
        cancellation.cancel()
        waiter.wait()
        #expect(scene.used == 0)
        // Before it has begun.
        #expect(throws: CancellationError.self) { try scene.queue.wait(until: .never, cancellation: cancellation) { scene.take() } }
    }

    /// The thread that waits for tasks is notified; of these one fails, and another is cancelled before it has looked.
    @Test func whatTasksDoNotUseIsPassedOn() async throws {
        struct Trouble: Error {}
        let scene = try Scene()
        let isNotified = Ended()
        let meanwhile = Later()
        let first = Task {
            try await scene.queue.waitAsynchronously(until: .never) { () -> Int? in
                guard isNotified.hasEnded else { return nil }
                meanwhile.run()
                throw Trouble()
            }
        }
        while scene.waiting == 0 { await Task.yield() }
        let second = Task { try await scene.queue.waitAsynchronously(until: .never) { scene.take() } }
        for _ in 0..<100 { await Task.yield() }
        meanwhile.set { second.cancel() }
        let hasTaken = Ended()
        try startThread(name: "waiter") {
            _ = try? scene.queue.wait(until: .never) { scene.take() }
            hasTaken.end()
        }
        // It and the thread of the two tasks.
        #expect(eventually { scene.waiting == 2 })
        isNotified.end()
        scene.give()
        hasTaken.wait()
        await #expect(throws: Trouble.self) { try await first.value }
        await #expect(throws: CancellationError.self) { try await second.value }
        #expect(eventually { scene.used == 0 })
    }

    /// Many threads, some of which give up or are cancelled at any moment: were a wake-up lost, the others would wait for ever.
    @Test func nothingIsLostAmongMany() throws {
        let scene = try Scene()
        let isOver = Ended()
        let current = Current()
        try startThread(name: "canceller") {
            while !isOver.hasEnded { current.cancel() }
        }
        let threads = try (0..<8).map { index in
            let ended = Ended()
            try startThread(name: "taker") {
                for _ in 0..<1000 {
                    // Half of them wait for ever, so that they are stuck when a wake-up is lost.
                    let deadline = index % 4 == 1 ? Deadline(after: .nanoseconds(Int64.random(in: 0..<60_000))) : .never
                    let cancellation = index % 4 == 3 ? current.renew() : nil
                    guard (try? scene.queue.wait(until: deadline, cancellation: cancellation) { scene.take() }) != nil else { continue }
                    // Lets others find nothing.
                    sched_yield()
                    scene.give()
                }
                ended.end()
            }
            return ended
        }
        scene.give(2)
        for thread in threads { thread.wait() }
        isOver.end()
        #expect(scene.number.load(ordering: .sequentiallyConsistent) == 2)
        #expect(scene.used == 0)
    }

    /// The wait that is to be cancelled next.
    private final class Current: Sendable {
        private let lock = HostLock()
        private nonisolated(unsafe) var cancellation = WaitCancellation()

        func renew() -> WaitCancellation {
            lock.withLock {
                cancellation = WaitCancellation()
                return cancellation
            }
        }
        func cancel() { lock.withLock { cancellation }.cancel() }
    }

    private final class Later: Sendable {
        private let lock = HostLock()
        private nonisolated(unsafe) var body: @Sendable () -> Void = {}

        func set(_ body: @escaping @Sendable () -> Void) { lock.withLock { self.body = body } }
        func run() { lock.withLock { body }() }
    }

    private func onThreadThatEnds(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(Body(run: body))
        let error = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run() }
                return nil
            }, context.toOpaque())
        #expect(error == 0)
        pthread_join(thread, nil)
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }
}
