import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// A repair that throws: what was not repaired is told to the next one, in whichever process, again; and no longer once it was.
    @Suite struct FailingRepairTests {
        private static let kinds: [LockKind] = [.adaptive, .pthreadRobust]

        @Test(arguments: kinds, [false, true]) func ofALock(kind: LockKind, isProfiled: Bool) async throws {
            let lock = try SharedLock(kind: kind, profiling: isProfiled)
            let child = ChildProcess(lock) { (lock: SharedLock) in
                try lock.lock()
                _ = die(.killed)
            }
            try child.start()
            #expect(throws: WorkerTerminated.self) { try child.result() }
            let fail = { throw Refusal(reason: "cannot") }
            #expect(throws: Refusal.self) { try lock.withLock(repair: fail) { Issue.record("the body must not run") } }
            #expect(throws: Refusal.self) {
                try lock.withLock(timeout: .seconds(60), repair: fail) { Issue.record("the body must not run") }
            }
            await #expect(throws: Refusal.self) { try await lock.async.withLock(repair: fail) { Issue.record("the body must not run") } }
            let other = ChildProcess(lock) { (lock: SharedLock) in
                try lock.withLock(repair: { throw Refusal(reason: "nor I") }) {}
            }
            try other.start()
            #expect(throws: Refusal.self) { try other.result() }
            var repairs = 0
            for _ in 0..<2 { try lock.withLock(repair: { repairs += 1 }) {} }
            #expect(repairs == 1)
        }

        /// One who waits meanwhile is not forgotten.
        @Test(arguments: kinds) func whoWaitsIsTold(kind: LockKind) throws {
            let lock = try SharedLock(kind: kind)
            onThreads(1) { _ in try? lock.lock() }
            let isAsked = try SharedEvent()
            let told = Counter()
            let waiting = OwnThread {
                try? isAsked.wait()
                do { try lock.lock(); try lock.unlock() } catch is OwnerDied {
                    told.add(1)
                    try? lock.unlock()
                } catch {}
            }
            #expect(throws: Refusal.self) {
                try lock.withLock(
                    repair: {
                        try isAsked.set()
                        throw Refusal(reason: "cannot")
                    }) {}
            }
            waiting.join()
            #expect(told.value == 1)
        }

        @Test func ofARecursiveLock() async throws {
            let lock = try SharedRecursiveLock()
            onThreads(1) { _ in try? lock.lock() }
            let fail = { throw Refusal(reason: "cannot") }
            #expect(throws: Refusal.self) { try lock.withLock(repair: fail) { Issue.record("the body must not run") } }
            #expect(throws: Refusal.self) {
                try lock.withLock(timeout: .seconds(60), repair: fail) { Issue.record("the body must not run") }
            }
            await #expect(throws: Refusal.self) { try await lock.async.withLock(repair: fail) { Issue.record("the body must not run") } }
            // One that takes it once more within, and lets go.
            #expect(throws: Refusal.self) {
                try lock.withLock(repair: { try lock.withLock(fail) }) { Issue.record("the body must not run") }
            }
            var repairs = 0
            for _ in 0..<2 { try lock.withLock(repair: { repairs += 1 }) {} }
            #expect(repairs == 1)
        }

        @Test func ofAnArray() async throws {
            let array = try SharedArray([1, 2])
            let child = ChildProcess(array) { (array: SharedArray<Int>) in array.withLock { _ in _ = die(.killed) } }
            try child.start()
            #expect(throws: WorkerTerminated.self) { try child.result() }
            let fail = { (_: inout MutableSpan<Int>) throws in throw Refusal(reason: "cannot") }
            #expect(throws: Refusal.self) { try array.withLock(repair: fail) { _ in Issue.record("the body must not run") } }
            #expect(throws: Refusal.self) {
                try array.withLock(timeout: .seconds(60), repair: fail) { _ in Issue.record("the body must not run") }
            }
            await #expect(throws: Refusal.self) {
                try await array.async.withLock(repair: fail) { _ in Issue.record("the body must not run") }
            }
            var repairs = 0
            for _ in 0..<2 { array.withLock(repair: { _ in repairs += 1 }) { _ in } }
            #expect(repairs == 1)
            // A body that throws is another matter.
            #expect(throws: Refusal.self) { try array.withLock { _ in throw Refusal(reason: "no") } }
            array.withLock(repair: { _ in repairs += 1 }) { _ in }
            #expect(repairs == 1)
        }

        /// Told without a way to repair it, and told once.
        @Test func whoOnlyWantsToKnowIsToldOnce() async throws {
            let lock = try SharedLock()
            onThreads(1) { _ in try? lock.lock() }
            await #expect(throws: OwnerDied.self) { try await lock.async.withLock { Issue.record("the body must not run") } }
            try await lock.async.withLock {}
            onThreads(1) { _ in try? lock.lock() }
            #expect(throws: OwnerDied.self) { try lock.withLock(timeout: .seconds(60)) { Issue.record("the body must not run") } }
            try lock.withLock {}
        }
    }
}
