import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// Conditions between processes.
    @Suite struct SharedConditionTests {
        static let kinds: [LockKind] = [.adaptive, .pthreadNormal, .pthreadAdaptive, .pthreadRobust]

        @Test(arguments: kinds, StartMethod.all) func aTokenGoesRound(kind: LockKind, method: StartMethod) throws {
            let condition = try SharedCondition(lock: try SharedLock(kind: kind))
            let turn = try SharedValue(0)
            let body = { @Sendable (condition: SharedCondition, turn: SharedValue<Int>, index: Int) in
                for _ in 0..<200 {
                    try condition.lock.withLock {
                        try condition.wait(until: { turn.value % 3 == index })
                        turn.value += 1
                        try condition.notifyAll()
                    }
                }
            }
            let children = (1..<3).map { ChildProcess(condition, turn, $0, configuration: .init(method), body: body) }
            for child in children { try child.start() }
            try body(condition, turn, 0)
            for child in children { try child.result() }
            #expect(turn.value == 600)
        }

        @Test func theLockHasToBeHeld() throws {
            let lock = try SharedLock()
            let condition = try SharedCondition(lock: lock)
            let error = try errorThrown(SharedMemoryError.self) { try condition.wait() }
            #expect(error.description.contains("wait()"))
            #expect(throws: SharedMemoryError.self) { try condition.notify() }
            #expect(throws: SharedMemoryError.self) { try condition.notifyAll() }
            try lock.lock()
            onThreads(1) { _ in #expect(throws: SharedMemoryError.self) { try condition.notify() } }
            #expect(throws: SharedMemoryError.self) { try condition.notify(-1) }
            // It has not been released by these, and is held again after a wait.
            #expect(try !condition.wait(timeout: .milliseconds(10)))
            #expect(try !condition.wait(timeout: .milliseconds(10), until: { false }))
            onThreads(1) { _ in #expect((try? lock.tryLock()) == false) }
            try lock.unlock()
        }

        @Test func asManyAsAreNotifiedGoOn() throws {
            let condition = try SharedCondition(lock: try SharedLock())
            let waiting = try SharedValue(0)
            let gone = try SharedValue(0)
            let children = (0..<5).map { _ in
                ChildProcess(condition, waiting, gone) { (condition: SharedCondition, waiting: SharedValue<Int>, gone: SharedValue<Int>) in
                    try condition.lock.withLock {
                        waiting.value += 1
                        try condition.wait()
                        gone.value += 1
                    }
                }
            }
            for child in children { try child.start() }
            // Whoever has counted itself waits as soon as another gets the lock.
            #expect(try eventually { try condition.lock.withLock { waiting.value == 5 } })
            for count in [1, 2] {
                let before = gone.value
                try condition.lock.withLock { try condition.notify(count) }
                #expect(eventually { gone.value == before + count })
            }
            try condition.lock.withLock { #expect(gone.value == 3) }
            try condition.lock.withLock { try condition.notifyAll() }
            for child in children { try child.result() }
        }

        /// Of two that wait, the first is notified and killed, before it runs or after; the notification goes to the other.
        @Test func aKilledWaiterSwallowsNoNotification() throws {
            for round in 0..<20 {
                let condition = try SharedCondition(lock: try SharedLock())
                let waiting = try SharedValue(0)
                let items = try SharedValue(0)
                let victim = ChildProcess(condition, waiting) { (condition: SharedCondition, waiting: SharedValue<Int>) in
                    try condition.lock.withLock {
                        waiting.value = 1
                        while true { try condition.wait() }
                    }
                }
                try victim.start()
                #expect(eventually { waiting.value == 1 })
                let other = ChildProcess(condition, waiting, items) {
                    (condition: SharedCondition, waiting: SharedValue<Int>, items: SharedValue<Int>) in
                    try condition.lock.withLock(repair: {}) {
                        waiting.value = 2
                        while items.value == 0 {
                            do { try condition.wait() } catch is OwnerDied {}
                        }
                        items.value -= 1
                    }
                }
                try other.start()
                #expect(eventually { waiting.value == 2 })
                try condition.lock.withLock(repair: {}) {
                    items.value = 1
                    // Before it is notified, or after; but always before it could come back from its wait, which would use the notification up.
                    if round % 2 == 0 { victim.kill() }
                    try condition.notify()
                    victim.kill()
                }
                try other.result()
                #expect(throws: WorkerTerminated.self) { try victim.result() }
                #expect(items.value == 0)
            }
        }

        /// An owner that dies while others wait: they are told as they take the lock again.
        @Test func whoWaitsIsToldOfADeath() throws {
            let condition = try SharedCondition(lock: try SharedLock())
            let waiting = try SharedValue(0)
            let waiter = ChildProcess(condition, waiting) { (condition: SharedCondition, waiting: SharedValue<Int>) in
                try condition.lock.lock()
                waiting.value = 1
                do {
                    try condition.wait()
                    return false
                } catch is OwnerDied {
                    try condition.lock.unlock()
                    return true
                }
            }
            try waiter.start()
            #expect(eventually { waiting.value == 1 })
            let owner = ChildProcess(condition) { (condition: SharedCondition) in
                try condition.lock.lock()
                try condition.notify()
                _ = die(.killed)
            }
            try owner.start()
            #expect(try waiter.result())
            #expect(throws: WorkerTerminated.self) { try owner.result() }
        }

        @Test func handlesOfTheSameLock() throws {
            try withPool(processes: 1) { pool in
                let condition = try pool.apply(
                    { (kind: String) in try SharedCondition(lock: try SharedLock(name: kind)) }, "made by a worker")
                let lock = condition.lock
                try lock.lock()
                #expect(try !condition.wait(timeout: .milliseconds(1)))
                #expect(try !pool.apply({ (condition: SharedCondition) in try condition.lock.tryLock() }, condition))
                try lock.unlock()
            }
        }
    }
}
