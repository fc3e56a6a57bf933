import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// What asynchronous functions wait for.
    @Suite struct AsyncWaitingTests {
        /// More tasks than the concurrency pool has threads, or the family may have: they wait, and others go on.
        @Test func anyNumberOfTasksWait() async throws {
            let event = try SharedEvent()
            let semaphore = try SharedSemaphore(0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<5_000 { group.addTask { try await event.async.wait() } }
                for _ in 0..<5_000 { group.addTask { try await semaphore.async.acquire() } }
                // The pool still runs this.
                for _ in 0..<100 { await Task.yield() }
                for _ in 0..<100 { #expect(await Task.detached { true }.value) }
                try event.set()
                try semaphore.release(2_000)
                for _ in 0..<3_000 { try semaphore.release() }
                try await group.waitForAll()
            }
            #expect(semaphore.value == 0)
        }

        /// A forked child has the memory of its parent's tasks, but none of the threads that wait for them.
        @Test func tasksOfAForkedChildWaitForThemselves() async throws {
            let semaphore = try SharedSemaphore(0)
            let event = try SharedEvent()
            let queue = try SharedQueue<Int>(capacity: 1)
            let lock = try SharedLock()
            let holder = try Holder { try lock.withLock($0) }
            let tasks = [
                Task { try await semaphore.async.acquire() }, Task { try await event.async.wait() },
                Task { _ = try await queue.async.get() },
                Task { try await lock.async.withLock {} },
            ]
            // All of them wait, and there are idle threads besides.
            _ = try await semaphore.async.acquire(timeout: .milliseconds(20))
            let child = ChildProcess(configuration: .init(.fork)) {
                try OneThread.finish {
                    let timeout = Duration.milliseconds(20)
                    let isLate = try await !semaphore.async.acquire(timeout: timeout)
                    let isUnset = try await !event.async.wait(timeout: timeout)
                    let isEmpty = try await queue.async.get(timeout: timeout) == nil
                    let isHeld = try await lock.async.withLock(timeout: timeout) {} == nil
                    return [isLate, isUnset, isEmpty, isHeld]
                }
            }
            try child.start()
            let isOver = try child.join(timeout: .seconds(30))
            #expect(isOver)
            if !isOver { child.kill() }
            try #expect(child.result() == [true, true, true, true])
            holder.release()
            try semaphore.release()
            try event.set()
            try queue.put(1)
            for task in tasks { try await task.value }
        }

        @Test func aProcessTellsATask() async throws {
            let semaphore = try SharedSemaphore(0)
            let event = try SharedEvent()
            let child = ChildProcess(semaphore, event) { (semaphore: SharedSemaphore, event: SharedEvent) in
                for _ in 0..<500 {
                    try semaphore.release()
                    try event.wait()
                    try event.clear()
                }
            }
            try child.start()
            for _ in 0..<500 {
                try await semaphore.async.acquire()
                try event.set()
            }
            _ = try await child.value
        }

        @Test func timeouts() async throws {
            let event = try SharedEvent()
            let semaphore = try SharedSemaphore(1)
            #expect(try await !event.async.wait(timeout: .milliseconds(10)))
            #expect(try await semaphore.async.acquire(timeout: .zero))
            #expect(try await !semaphore.async.acquire(timeout: .zero))
            #expect(try await !semaphore.async.acquire(timeout: .milliseconds(10)))
            // Many at once, each with its own.
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for i in 0..<100 { group.addTask { try await semaphore.async.acquire(timeout: .milliseconds((i * 37) % 50)) } }
                for try await isAcquired in group { #expect(!isAcquired) }
            }
            try event.set()
            #expect(try await event.async.wait(timeout: .zero))
        }

        @Test func cancelledWaitsEnd() async throws {
            let event = try SharedEvent()
            let semaphore = try SharedSemaphore(0)
            let lock = try SharedLock()
            let condition = try SharedCondition(lock: try SharedLock())
            let recursive = try SharedRecursiveLock()
            let held = Counter()
            let release = try SharedEvent()
            // Held by a thread of its own: an asynchronous function is in no thread in particular.
            let holder = Task.detached {
                onThreads(1) { _ in
                    try? lock.withLock {
                        try recursive.withLock {
                            held.add(1)
                            try release.wait()
                        }
                    }
                }
            }
            while held.value == 0 { await Task.yield() }
            let waits: [@Sendable () async throws -> Void] = [
                { try await event.async.wait() },
                { _ = try await event.async.wait(timeout: .seconds(1000)) },
                { try await semaphore.async.acquire() },
                { try await semaphore.async.withPermit { _ = Issue.record("there is no permit") } },
                { try await lock.async.withLock { _ = Issue.record("another holds the lock") } },
                { try await lock.async.withLock(repair: {}) { _ = Issue.record("another holds the lock") } },
                { try await recursive.async.withLock { _ = Issue.record("another holds the lock") } },
                { try await condition.async.withLock(when: { false }) { _ = Issue.record("it does not hold") } },
            ]
            for wait in waits { await expectCancellation(of: wait) }
            try release.set()
            await holder.value
            // Nothing was lost, and nothing is held.
            #expect(try lock.tryLock())
            try lock.unlock()
            #expect(try condition.lock.tryLock())
            try condition.lock.unlock()
            try semaphore.release()
            try await semaphore.async.acquire()
        }

        /// Permits are taken by tasks that are cancelled at any moment: each was had by one, or is still there.
        @Test func cancellationLosesNoPermit() async throws {
            let semaphore = try SharedSemaphore(0)
            let child = ChildProcess(semaphore) { (semaphore: SharedSemaphore) in
                for _ in 0..<2_000 {
                    try semaphore.release()
                    usleep(20)
                }
            }
            try child.start()
            var had = 0
            for _ in 0..<300 {
                let tasks = (0..<4).map { _ in
                    Task {
                        do {
                            try await semaphore.async.acquire()
                            return 1
                        } catch is CancellationError { return 0 }
                    }
                }
                for (index, task) in tasks.enumerated() {
                    for _ in 0..<index * 10 { await Task.yield() }
                    task.cancel()
                }
                for task in tasks { had += try await task.value }
            }
            _ = try await child.value
            #expect(had + semaphore.value == 2_000)
        }

        @Test(arguments: SharedConditionTests.kinds) func locksAreExact(kind: LockKind) async throws {
            let lock = try SharedLock(kind: kind)
            let counter = try SharedValue(0)
            let child = ChildProcess(lock, counter) { (lock: SharedLock, counter: SharedValue<Int>) in
                for _ in 0..<2_000 { try lock.withLock { counter.value += 1 } }
            }
            try child.start()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<100 {
                    group.addTask { for _ in 0..<20 { try await lock.async.withLock { counter.value += 1 } } }
                }
                try await group.waitForAll()
            }
            _ = try await child.value
            #expect(counter.value == 4_000)
        }

        @Test func valuesAndArraysAreExact() async throws {
            let value = try SharedValue(0)
            let array = try SharedArray(repeating: 0, count: 10)
            let child = ChildProcess(value, array) { (value: SharedValue<Int>, array: SharedArray<Int>) in
                for i in 0..<2_000 {
                    value.withLock { $0 += 1 }
                    array.withLock { $0[i % 10] += 1 }
                }
            }
            try child.start()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for i in 0..<100 {
                    group.addTask {
                        for _ in 0..<20 {
                            try await value.async.withLock { $0 += 1 }
                            try await array.async.withLock { $0[i % 10] += 1 }
                        }
                    }
                }
                try await group.waitForAll()
            }
            _ = try await child.value
            #expect(value.value == 4_000)
            #expect(array.indices.allSatisfy { array[$0] == 400 })
        }

        private actor Account {
            var balance = 0
            func deposit(_ lock: SharedLock, _ recursive: SharedRecursiveLock, _ semaphore: SharedSemaphore) async throws -> Int {
                // What is done under the lock stays in the actor.
                try await lock.async.withLock { balance += 1 }
                try await recursive.async.withLock { balance += 1 }
                try await semaphore.async.withPermit { balance += 1 }
                return balance
            }
        }

        @Test func theBodyIsInItsCallersActor() async throws {
            let lock = try SharedLock()
            let recursive = try SharedRecursiveLock()
            let semaphore = try SharedSemaphore(1)
            let account = Account()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<50 { group.addTask { _ = try await account.deposit(lock, recursive, semaphore) } }
                try await group.waitForAll()
            }
            #expect(await account.balance == 150)
        }

        @Test func aTaskIsToldOfADeath() async throws {
            let lock = try SharedLock()
            let recursive = try SharedRecursiveLock()
            func leaveThemToADeadProcess() async throws {
                let held = try SharedEvent()
                let child = ChildProcess(lock, recursive, held) { (lock: SharedLock, recursive: SharedRecursiveLock, held: SharedEvent) in
                    try lock.lock()
                    try recursive.lock()
                    try held.set()
                    sleepForEver()
                }
                try child.start()
                try await held.async.wait()
                Task {
                    for _ in 0..<100 { await Task.yield() }
                    child.kill()
                }
            }
            try await leaveThemToADeadProcess()
            await #expect(throws: OwnerDied.self) { try await lock.async.withLock { Issue.record("the body must not run") } }
            await #expect(throws: OwnerDied.self) { try await recursive.async.withLock { Issue.record("the body must not run") } }
            try await lock.async.withLock {}
            try await recursive.async.withLock {}
            try await leaveThemToADeadProcess()
            var order: [String] = []
            try await lock.async.withLock(repair: { order.append("repair") }) { order.append("body") }
            #expect(order == ["repair", "body"])
        }

        @Test func aConditionIsWaitedFor() async throws {
            let condition = try SharedCondition(lock: try SharedLock())
            let items = try SharedValue(0)
            let child = ChildProcess(condition, items) { (condition: SharedCondition, items: SharedValue<Int>) in
                for _ in 0..<100 {
                    try condition.lock.withLock {
                        items.value += 1
                        try condition.notify()
                    }
                }
            }
            try child.start()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<100 {
                    group.addTask { try await condition.async.withLock(when: { items.value > 0 }) { items.value -= 1 } }
                }
                try await group.waitForAll()
            }
            _ = try await child.value
            #expect(items.value == 0)
        }
    }
}

/// Expects that a wait ends once its task is cancelled: before it begins, as it does, or later.
func expectCancellation(of wait: @escaping @Sendable () async throws -> Void) async {
    for pauses in [0, 1, 10, 1000] {
        let task = Task { try await wait() }
        for _ in 0..<pauses { await Task.yield() }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
