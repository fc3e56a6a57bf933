import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// Locks that their owners may take again.
    @Suite struct SharedRecursiveLockTests {
        @Test func itsOwnerTakesItAgain() throws {
            let lock = try SharedRecursiveLock()
            try withPool(processes: 1) { pool in
                func isFree() throws -> Bool {
                    try pool.apply(
                        { (lock: SharedRecursiveLock) in
                            guard try lock.lock(timeout: .milliseconds(10)) else { return false }
                            try lock.unlock()
                            return true
                        }, lock)
                }
                try lock.lock()
                #expect(try lock.tryLock())
                #expect(try lock.lock(timeout: .zero))
                try lock.withLock { try #expect(!isFree()) }
                for _ in 0..<3 {
                    #expect(try !isFree())
                    try lock.unlock()
                }
                #expect(try isFree())
                #expect(throws: SharedMemoryError.self) { try lock.unlock() }
                try lock.lock()
                // Another's lock is not one's own to release, in another process and in this one.
                #expect(throws: SharedMemoryError.self) { try pool.apply({ (lock: SharedRecursiveLock) in try lock.unlock() }, lock) }
                onThreads(1) { _ in #expect(throws: SharedMemoryError.self) { try lock.unlock() } }
                onThreads(1) { _ in #expect((try? lock.tryLock()) == false) }
                try lock.unlock()
                #expect(try isFree())
            }
        }

        @Test(arguments: StartMethod.all) func onlyOneAtATime(method: StartMethod) throws {
            let lock = try SharedRecursiveLock()
            let counter = try SharedValue(0)
            let body = { @Sendable (lock: SharedRecursiveLock, counter: SharedValue<Int>) in
                for _ in 0..<5_000 { try lock.withLock { try lock.withLock { counter.value += 1 } } }
            }
            let children = (0..<3).map { _ in ChildProcess(lock, counter, configuration: .init(method), body: body) }
            for child in children { try child.start() }
            try body(lock, counter)
            for child in children { try child.result() }
            #expect(counter.value == 20_000)
        }

        @Test func theNextIsToldOfADeath() throws {
            let lock = try SharedRecursiveLock()
            func leaveItToADeadProcess() throws {
                let child = ChildProcess(lock) { (lock: SharedRecursiveLock) in
                    for _ in 0..<3 { try lock.lock() }
                    _ = die(.killed)
                }
                try child.start()
                #expect(throws: WorkerTerminated.self) { try child.result() }
            }
            try leaveItToADeadProcess()
            #expect(throws: OwnerDied.self) { try lock.lock() }
            // Held once, whatever the dead owner had counted.
            try lock.unlock()
            #expect(throws: SharedMemoryError.self) { try lock.unlock() }
            try leaveItToADeadProcess()
            #expect(throws: OwnerDied.self) { try lock.withLock { Issue.record("the body must not run") } }
            try leaveItToADeadProcess()
            var order: [String] = []
            try lock.withLock(repair: { order.append("repair") }) { order.append("body") }
            try lock.withLock(repair: { order.append("repair") }) { order.append("body") }
            #expect(order == ["repair", "body", "body"])
        }

        @Test func aBodyThatThrowsReleases() throws {
            let lock = try SharedRecursiveLock()
            #expect(throws: Refusal.self) { try lock.withLock { throw Refusal(reason: "no") } }
            #expect(throws: SharedMemoryError.self) { try lock.unlock() }
        }
    }
}
