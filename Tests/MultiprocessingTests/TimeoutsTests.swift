import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// What waits, for a limited time.
    @Suite struct TimeoutsTests {
        @Test(arguments: LockKind.allCases) func aLock(kind: LockKind) throws {
            let lock = try SharedLock(kind: kind)
            let holder = try Holder { body in try lock.withLock(body) }
            #expect(try lock.withLock(timeout: .milliseconds(5)) { 1 } == nil)
            #expect(try lock.withLock(timeout: .zero, repair: {}) { 1 } == nil)
            holder.release()
            #expect(try lock.withLock(timeout: .seconds(60)) { 1 } == 1)
            #expect(try lock.withLock(timeout: .zero, repair: { Issue.record("nobody has died") }) { 2 } == 2)
            #expect(throws: Refusal.self) { try lock.withLock(timeout: .zero) { throw Refusal(reason: "no") } }
            #expect(try lock.tryLock())
            try lock.unlock()
        }

        @Test func aRecursiveLock() throws {
            let lock = try SharedRecursiveLock()
            let holder = try Holder { body in try lock.withLock(body) }
            #expect(try lock.withLock(timeout: .milliseconds(5)) { 1 } == nil)
            #expect(try lock.withLock(timeout: .zero, repair: {}) { 1 } == nil)
            holder.release()
            #expect(try lock.withLock(timeout: .zero) { try lock.withLock(timeout: .zero) { 1 } } == 1)
            onThreads(1) { _ in try? lock.lock() }
            #expect(throws: OwnerDied.self) { try lock.withLock(timeout: .seconds(60)) { Issue.record("the body must not run") } }
            onThreads(1) { _ in try? lock.lock() }
            var order: [String] = []
            try lock.withLock(timeout: .seconds(60), repair: { order.append("repair") }) { order.append("body") }
            #expect(order == ["repair", "body"])
            onThreads(1) { _ in #expect(throws: Never.self) { try lock.withLock {} } }
        }

        @Test func writing() async throws {
            let lock = try SharedReadWriteLock()
            let holder = try Holder { body in try lock.withReadLock(body) }
            #expect(try lock.withWriteLock(timeout: .milliseconds(5), repair: {}) { 1 } == nil)
            #expect(try await lock.async.withWriteLock(timeout: .milliseconds(5), repair: {}) { 1 } == nil)
            holder.release()
            #expect(try lock.withWriteLock(timeout: .seconds(60), repair: {}) { 1 } == 1)
            let child = ChildProcess(lock) { (lock: SharedReadWriteLock) in try lock.withWriteLock { _ = die(.killed) } }
            try child.start()
            #expect(throws: WorkerTerminated.self) { try child.result() }
            let fail = { throw Refusal(reason: "cannot") }
            #expect(throws: Refusal.self) { try lock.withWriteLock(timeout: .seconds(60), repair: fail) { Issue.record("not yet") } }
            var repairs = 0
            for _ in 0..<2 { _ = try await lock.async.withWriteLock(timeout: .seconds(60), repair: { repairs += 1 }) {} }
            #expect(repairs == 1)
        }

        @Test func aPermit() async throws {
            let semaphore = try SharedSemaphore(1, bound: 1)
            try semaphore.acquire()
            #expect(try semaphore.withPermit(timeout: .milliseconds(5)) { 1 } == nil)
            try semaphore.release()
            #expect(try semaphore.withPermit(timeout: .zero) { semaphore.value } == 0)
            #expect(throws: Refusal.self) { try semaphore.withPermit(timeout: .zero) { throw Refusal(reason: "no") } }
            #expect(semaphore.value == 1)
            try semaphore.acquire()
            #expect(try await semaphore.async.withPermit(timeout: .milliseconds(5)) { 1 } == nil)
            try semaphore.release()
            #expect(try await semaphore.async.withPermit(timeout: .seconds(60)) { 1 } == 1)
            #expect(semaphore.value == 1)
        }

        @Test func aDescriptor() async throws {
            let (mine, theirs) = try pipe()
            #expect(try mine.receiveDescriptor(timeout: .milliseconds(5)) == nil)
            #expect(try await mine.async.receiveDescriptor(timeout: .milliseconds(5)) == nil)
            var sent = 0
            while sent < 100_000, try theirs.send(descriptor: 0, timeout: .milliseconds(5)) { sent += 1 }
            #expect(sent > 0)
            #expect(try await !theirs.async.send(descriptor: 0, timeout: .milliseconds(5)))
            #expect(try mine.receiveDescriptor(timeout: .zero) != nil)
            #expect(try await mine.async.receiveDescriptor(timeout: .seconds(60)) != nil)
            #expect(try await theirs.async.send(descriptor: 0, timeout: .seconds(60)))
        }
    }
}
