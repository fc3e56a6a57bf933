import Glibc
import Multiprocessing
import TestSupport
import Testing

extension LockKind {
    fileprivate static let all: [LockKind] = [.adaptive, .pthreadNormal, .pthreadAdaptive, .pthreadRobust]
}

extension PublicInterface {
    /// Locks between processes.
    @Suite struct SharedLockTests {
        @Test(arguments: LockKind.all) func onlyOneAtATime(kind: LockKind) throws {
            let lock = try SharedLock(kind: kind)
            // Read and written without the value's own lock across the two: exact only if the shared lock keeps others out.
            let counter = try SharedValue<Int>(0)
            let children = (0..<3).map { _ in
                ChildProcess(lock, counter) { (lock: SharedLock, counter: SharedValue<Int>) in
                    for _ in 0..<5_000 { try lock.withLock { counter.value += 1 } }
                }
            }
            for child in children { try child.start() }
            for _ in 0..<5_000 { try lock.withLock { counter.value += 1 } }
            for child in children { try child.result() }
            #expect(counter.value == 20_000)
        }

        @Test(arguments: LockKind.all) func whoTakesAndWhoReleases(kind: LockKind) throws {
            let lock = try SharedLock(name: "the lock of this test", kind: kind)
            #expect(try lock.tryLock())
            try withPool(processes: 1) { pool in
                try #expect(!pool.apply({ (lock: SharedLock) in try lock.tryLock() }, lock))
                try #expect(!pool.apply({ (lock: SharedLock) in try lock.lock(timeout: .milliseconds(20)) }, lock))
                // Another's lock is not one's own to release.
                #expect(throws: SharedMemoryError.self) { try pool.apply({ (lock: SharedLock) in try lock.unlock() }, lock) }
                try lock.unlock()
                try #expect(
                    pool.apply(
                        { (lock: SharedLock) in
                            try lock.lock()
                            try lock.unlock()
                            return try lock.lock(timeout: .seconds(60))
                        }, lock))
                // The worker still holds it.
                #expect(try !lock.tryLock())
            }
            let error = try errorThrown(SharedMemoryError.self) { try lock.unlock() }
            #expect(error.description.contains("the lock of this test"))
        }

        @Test(arguments: LockKind.all) func aBodyThatThrowsReleases(kind: LockKind) throws {
            let lock = try SharedLock(kind: kind)
            #expect(throws: Refusal.self) { try lock.withLock { throw Refusal(reason: "no") } }
            #expect(try lock.tryLock())
            try lock.unlock()
        }

        @Test(arguments: [LockKind.adaptive, .pthreadRobust], StartMethod.all) func theNextIsToldOfADeath(
            kind: LockKind, method: StartMethod
        ) throws {
            let lock = try SharedLock(kind: kind)
            func leaveItToADeadProcess() throws {
                let child = ChildProcess(lock, configuration: .init(method)) { (lock: SharedLock) in
                    try lock.lock()
                    _ = die(.killed)
                }
                try child.start()
                #expect(throws: WorkerTerminated.self) { try child.result() }
            }
            // With the lock held…
            try leaveItToADeadProcess()
            #expect(throws: OwnerDied.self) { try lock.lock() }
            try lock.unlock()
            try lock.withLock {}
            // … or released, when there is nobody to repair anything …
            try leaveItToADeadProcess()
            #expect(throws: OwnerDied.self) { try lock.withLock { Issue.record("the body must not run") } }
            try lock.withLock {}
            // … or repaired first.
            try leaveItToADeadProcess()
            var order: [String] = []
            try lock.withLock(repair: { order.append("repair") }) { order.append("body") }
            try lock.withLock(repair: { order.append("repair") }) { order.append("body") }
            #expect(order == ["repair", "body", "body"])
        }

        @Test func whoWaitsIsToldOfADeath() throws {
            let lock = try SharedLock()
            let held = try SharedValue<Int>(0)
            let child = ChildProcess(lock, held) { (lock: SharedLock, held: SharedValue<Int>) in
                try lock.lock()
                held.value = 1
                sleepForEver()
            }
            try child.start()
            #expect(eventually { held.value == 1 })
            let told = Counter()
            onThreads(2) { index in
                if index == 0 { return child.kill() }
                do { try lock.lock() } catch is OwnerDied { told.add(1) } catch {}
                try? lock.unlock()
            }
            #expect(told.value == 1)
        }

        @Test func aThreadThatEndsIsADeadOwner() throws {
            let lock = try SharedLock()
            onThreads(1) { _ in try? lock.lock() }
            #expect(throws: OwnerDied.self) { try lock.lock() }
            try lock.unlock()
        }
    }
}
