import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// Conditions for which tasks wait.
    @Suite struct AsyncConditionTests {
        @Test(arguments: SharedConditionTests.kinds) func aThousandTasksWait(kind: LockKind) async throws {
            let condition = try SharedCondition(lock: try SharedLock(kind: kind))
            let items = try SharedValue(0)
            let waiting = Counter()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<1_000 {
                    group.addTask {
                        let looks = Counter()
                        try await condition.async.withLock(when: {
                            if looks.value == 0 { waiting.add(1) }
                            looks.add(1)
                            return items.value > 0
                        }) { items.value -= 1 }
                    }
                }
                while waiting.value < 1_000 { await Task.yield() }
                #expect(waitingThreads() < 100)
                let child = ChildProcess(condition, items) { (condition: SharedCondition, items: SharedValue<Int>) in
                    // One by one, several at once, and all.
                    for count in [1, 3, 246] {
                        for _ in 0..<4 {
                            try condition.lock.withLock {
                                items.value += count
                                try count == 246 ? condition.notifyAll() : condition.notify(count)
                            }
                        }
                    }
                }
                try child.start()
                try await group.waitForAll()
                _ = try await child.value
            }
            #expect(items.value == 0)
        }

        /// Of tasks that are cancelled at any moment and a process that waits, one has what was notified of: once for each item, to one of them.
        @Test(arguments: [LockKind.adaptive, .pthreadRobust]) func cancellationLosesNoNotification(kind: LockKind) async throws {
            let condition = try SharedCondition(lock: try SharedLock(kind: kind))
            let items = try SharedValue(0)
            let taken = try SharedValue(0)
            let child = ChildProcess(condition, items, taken) {
                (condition: SharedCondition, items: SharedValue<Int>, taken: SharedValue<Int>) in
                try condition.lock.withLock {
                    while true {
                        try condition.wait(until: { items.value != 0 })
                        // As many tasks may be a bit too late.
                        if items.value < 0 { return }
                        items.value -= 1
                        taken.value += 1
                    }
                }
            }
            try child.start()
            let had = Counter()
            for round in 0..<300 {
                let tasks = (0..<round % 4 + 1).map { _ in
                    Task {
                        try await condition.async.withLock(when: { items.value > 0 }) {
                            items.value -= 1; had.add(1)
                        }
                    }
                }
                for _ in 0..<Int.random(in: 0..<20) { await Task.yield() }
                try condition.lock.withLock {
                    items.value += 1
                    try condition.notify()
                }
                for _ in 0..<Int.random(in: 0..<20) { await Task.yield() }
                for task in tasks { task.cancel() }
                for task in tasks { _ = await task.result }
                #expect(eventually { items.value == 0 })
            }
            try condition.lock.withLock {
                items.value = -1
                try condition.notifyAll()
            }
            _ = try await child.value
            #expect(had.value + taken.value == 300)
        }

        /// The deadlines and cancellations of tasks count, too, while they wait for the lock.
        @Test(arguments: SharedConditionTests.kinds) func whileAnotherHasTheLock(kind: LockKind) async throws {
            let condition = try SharedCondition(lock: try SharedLock(kind: kind))
            let holder = try Holder { try condition.lock.withLock($0) }
            let patient = Task { try await condition.async.withLock(when: { true }) { 1 } }
            let cancelled = Task { try await condition.async.withLock(timeout: .seconds(1000), when: { true }) { 2 } }
            for _ in 0..<100 { await Task.yield() }
            try await withThrowingTaskGroup(of: Int?.self) { group in
                for i in 0..<100 {
                    group.addTask { try await condition.async.withLock(timeout: .milliseconds((i * 37) % 50), when: { true }) { 3 } }
                }
                for try await result in group { #expect(result == nil) }
            }
            cancelled.cancel()
            await #expect(throws: CancellationError.self) { try await cancelled.value }
            holder.release()
            #expect(try await patient.value == 1)
            #expect(try await condition.async.withLock(timeout: .zero, when: { false }) { 4 } == nil)
            #expect(try await condition.async.withLock(timeout: .milliseconds(5), when: { false }) { 4 } == nil)
            #expect(try await condition.async.withLock(timeout: .zero, when: { true }) { 4 } == 4)
        }

        /// A process notifies and dies, with the lock: one task is told, and the others have what there is.
        @Test(arguments: [LockKind.adaptive, .pthreadRobust], [false, true]) func theNotifierDies(kind: LockKind, isWithoutNotifying: Bool)
            async throws
        {
            for _ in 0..<5 {
                let condition = try SharedCondition(lock: try SharedLock(kind: kind))
                let items = try SharedValue(0)
                let held = try SharedEvent()
                let child = ChildProcess(condition, items, held, isWithoutNotifying) {
                    (condition: SharedCondition, items: SharedValue<Int>, held: SharedEvent, isWithoutNotifying: Bool) in
                    try condition.lock.lock()
                    items.value = 1_000
                    if !isWithoutNotifying { try condition.notifyAll() }
                    try held.set()
                    sleepForEver()
                }
                let take = { @Sendable in
                    try await condition.async.withLock(when: { items.value > 0 }) { items.value -= 1 }
                }
                // Half of them wait to be notified, the others for the lock.
                let early = (0..<50).map { _ in Task { try await take() } }
                for _ in 0..<100 { await Task.yield() }
                try child.start()
                try await held.async.wait()
                let late = (0..<50).map { _ in Task { try await take() } }
                for _ in 0..<100 { await Task.yield() }
                child.kill()
                var told = 0
                for task in early + late { do { try await task.value } catch is OwnerDied { told += 1 } }
                #expect(told == 1)
                #expect(items.value == 901)
                _ = try? await child.value
            }
        }

        /// A process is notified whose tasks wait, and killed, before they look or after; what they have not taken goes to another process.
        @Test func killedTasksSwallowNoNotification() async throws {
            for round in 0..<20 {
                let condition = try SharedCondition(lock: try SharedLock())
                let items = try SharedValue(0)
                let waiting = try SharedValue(0)
                let victim = ChildProcess(condition, items, waiting) {
                    (condition: SharedCondition, items: SharedValue<Int>, waiting: SharedValue<Int>) in
                    for _ in 0..<3 {
                        Task {
                            try await condition.async.withLock(when: {
                                waiting.value += 1
                                return items.value > 0
                            }) { items.value -= 1 }
                        }
                    }
                    sleepForEver()
                }
                try victim.start()
                // Each looks in its task, if it gets the lock; and then on the thread that waits for them, which has entered the queue before.
                #expect(eventually { waiting.value >= 4 })
                let (isWaiting, taken) = (try SharedEvent(), try SharedValue(0))
                let other = ChildProcess(condition, items, isWaiting, taken) {
                    (condition: SharedCondition, items: SharedValue<Int>, isWaiting: SharedEvent, taken: SharedValue<Int>) in
                    try condition.lock.withLock(repair: {}) {
                        try isWaiting.set()
                        while items.value == 0 {
                            do { try condition.wait() } catch is OwnerDied {}
                        }
                        items.value -= 1
                        taken.value = 1
                    }
                }
                try other.start()
                try await isWaiting.async.wait()
                // As soon as the other waits.
                try condition.lock.withLock(repair: {}) {
                    items.value = 1
                    try condition.notify()
                    if round % 2 == 0 { victim.kill() }
                }
                victim.kill()
                await #expect(throws: WorkerTerminated.self) { try await victim.value }
                try condition.lock.withLock(repair: {}) {
                    // The victim was faster.
                    guard items.value == 0, taken.value == 0 else { return }
                    items.value = 1
                    try condition.notify()
                }
                _ = try await other.value
                #expect(items.value == 0)
            }
        }

        /// In the lock's profile a condition's waits stand where they were called.
        @Test func profilesNameTheCaller() async throws {
            let lock = try SharedLock(name: "with a condition", kind: .adaptive, profiling: true)
            let condition = try SharedCondition(lock: lock)
            // Of holds one in 64 is timed.
            for _ in 0..<1_000 {
                try lock.withLock { _ = try condition.wait(timeout: .zero) }
                _ = try await condition.async.withLock(timeout: .zero, when: { false }) {}
            }
            let sites = (lock.profile.holdingSites + lock.profile.waitingSites).map(\.site.file)
            #expect(!sites.isEmpty && sites.allSatisfy { $0.hasSuffix("AsyncConditionTests.swift") }, "\(sites)")
        }

        /// What a task's functions hold on to goes when it is done, and may cancel another that waits.
        @Test func whatGoesCancelsAnother() async throws {
            let condition = try SharedCondition(lock: try SharedLock())
            let event = try SharedEvent()
            let isReady = try SharedAtomic(false)
            for _ in 0..<20 {
                isReady.store(false)
                let victim = Task { try await event.async.wait() }
                // Keeps the condition's thread there.
                let other = Task { try await condition.async.withLock(when: { false }) {} }
                let done = {
                    let canceller = Canceller(victim)
                    return Task { try await condition.async.withLock(when: { isReady.load() }) { withExtendedLifetime(canceller) {} } }
                }()
                for _ in 0..<20 { await Task.yield() }
                try condition.lock.withLock {
                    isReady.store(true)
                    try condition.notifyAll()
                }
                try await done.value
                // Enough for the thread to forget those that are done.
                let more = (0..<40).map { _ in Task { try await condition.async.withLock(when: { false }) {} } }
                for task in more { task.cancel() }
                for task in more { _ = await task.result }
                try #expect(await event.async.wait(timeout: .milliseconds(1)) == false)
                other.cancel()
                _ = await other.result
                await #expect(throws: CancellationError.self) { try await victim.value }
            }
        }

        private final class Canceller: Sendable {
            private let task: Task<Void, any Error>
            init(_ task: Task<Void, any Error>) { self.task = task }
            deinit { task.cancel() }
        }

        /// What the two throw reaches the task, and the lock is free.
        @Test func errors() async throws {
            struct Trouble: Error {}
            let condition = try SharedCondition(lock: try SharedLock())
            let isBad = try SharedValue(0)
            let waits = (0..<10).map { _ in
                Task { try await condition.async.withLock(when: { if isBad.value != 0 { throw Trouble() } else { false } }) {} }
            }
            for _ in 0..<100 { await Task.yield() }
            try condition.lock.withLock {
                isBad.value = 1
                try condition.notifyAll()
            }
            for wait in waits { await #expect(throws: Trouble.self) { try await wait.value } }
            await #expect(throws: Trouble.self) { try await condition.async.withLock(when: { true }) { throw Trouble() } }
            #expect(try condition.lock.tryLock())
            try condition.lock.unlock()
        }
    }
}
