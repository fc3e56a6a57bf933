import Glibc
import Multiprocessing
import SharedState
import TestSupport
import Testing

extension PublicInterface {
    /// Locks in bad company.
    @Suite struct LockAdversityTests {
        private static let surviving: [LockKind] = [.adaptive, .pthreadRobust]

        /// Has a child take `locks` and be killed.
        private func leaveToADeadProcess(_ locks: [SharedLock]) throws {
            let child = ChildProcess(locks, configuration: .init(.fork)) { (locks: [SharedLock]) in
                for lock in locks { try lock.lock() }
                _ = die(.killed)
            }
            try child.start()
            #expect(throws: WorkerTerminated.self) { try child.result() }
        }

        @Test(arguments: surviving) func everyWayOfTakingTellsOfADeath(kind: LockKind) throws {
            let lock = try SharedLock(kind: kind)
            let ways: [() throws -> Void] = [
                { try lock.lock() }, { _ = try lock.tryLock() }, { _ = try lock.lock(timeout: .seconds(60)) },
                { _ = try lock.lock(timeout: .zero) },
            ]
            for way in ways {
                try leaveToADeadProcess([lock])
                #expect(throws: OwnerDied.self) { try way() }
                // It is held, and nobody is told a second time.
                try lock.unlock()
                #expect(try lock.tryLock())
                try lock.unlock()
            }
        }

        /// The kinds that do not survive a death are taken with a timeout, which comes.
        @Test(arguments: [LockKind.pthreadNormal, .pthreadAdaptive]) func otherKindsTimeOut(kind: LockKind) throws {
            let lock = try SharedLock(kind: kind)
            try leaveToADeadProcess([lock])
            #expect(try !lock.tryLock())
            #expect(try !lock.lock(timeout: .milliseconds(20)))
            #expect(throws: SharedMemoryError.self) { try lock.unlock() }
        }

        @Test(arguments: LockKind.allCases) func timeoutsOfAllLengths(kind: LockKind) throws {
            let lock = try SharedLock(kind: kind)
            let lengths: [Duration] = [.zero, .seconds(-1), .nanoseconds(1), .seconds(Int64.max), .seconds(Int64.min), .seconds(1 << 33)]
            for length in lengths {
                #expect(try lock.lock(timeout: length), "\(length) for a free lock")
                try lock.unlock()
            }
            try lock.lock()
            let refused = Counter()
            onThreads(1) { _ in
                for length in [Duration.zero, .seconds(-1), .nanoseconds(1), .seconds(Int64.min), .milliseconds(5)] {
                    if (try? lock.lock(timeout: length)) == false { refused.add(1) }
                }
            }
            #expect(refused.value == 5)
            try lock.unlock()
        }

        /// More locks than a thread's list has places.
        @Test(arguments: surviving) func manyLocksOfADeadOwner(kind: LockKind) throws {
            let locks = try (0..<12).map { _ in try SharedLock(kind: kind) }
            try leaveToADeadProcess(locks)
            for lock in locks {
                #expect(throws: OwnerDied.self) { _ = try lock.lock(timeout: .seconds(60)) }
                try lock.unlock()
            }
        }

        @Test(arguments: surviving) func threadsThatEndAreDeadOwners(kind: LockKind) throws {
            let lock = try SharedLock(kind: kind)
            for _ in 0..<50 {
                let told = Counter()
                // One ends holding it, while another waits.
                onThreads(2) { _ in
                    do { try lock.lock() } catch is OwnerDied { told.add(1) } catch {}
                }
                #expect(told.value == 1)
                #expect(throws: OwnerDied.self) { try lock.lock() }
                try lock.unlock()
            }
        }

        /// As many threads as there are places for one after the other, and more.
        @Test func threadsComeAndGo() throws {
            let lock = try SharedLock()
            let count = Counter()
            for _ in 0..<1_100 { onThreads(8) { _ in if (try? lock.withLock { count.add(1) }) != nil { count.add(1) } } }
            #expect(count.value == 2 * 8_800)
        }

        /// A child that is forked while its parent holds the lock, or while others of its threads hold it and wait for it, has neither.
        @Test(arguments: LockKind.allCases, [false, true]) func forkedWhileHeld(kind: LockKind, byForker: Bool) throws {
            let lock = try SharedLock(kind: kind)
            let (step, tried) = (try SharedAtomic(0), try SharedAtomic(0))
            let holder = byForker ? nil : OwnThread { hold(lock, step) }
            if byForker { try lock.lock() } else { #expect(eventually { step.load() == 1 }) }
            let thread = try SharedAtomic(0)
            let waiter = OwnThread {
                thread.store(threadFolder().split(separator: "/").last.flatMap { Int($0) } ?? 0)
                try? lock.withLock {}
            }
            #expect(eventually { thread.load() != 0 && isAsleep("/proc/self/task/\(thread.load())") })
            let child = ChildProcess(lock, tried, configuration: .init(.fork)) { (lock: SharedLock, tried: SharedAtomic<Int>) in
                let isFree = try lock.tryLock()
                let isReleased = (try? lock.unlock()) != nil
                tried.store(1)
                let isTaken = try lock.lock(timeout: .seconds(60))
                try lock.unlock()
                return [isFree, isReleased, isTaken]
            }
            let killed = ChildProcess(lock, configuration: .init(.fork)) { (lock: SharedLock) in
                _ = try lock.lock(timeout: .milliseconds(1))
                _ = die(.killed)
            }
            try child.start()
            try killed.start()
            try killed.join()
            #expect(eventually { tried.load() == 1 })
            #expect(try !threadTries(lock), "a copy's death is not its owner's")
            if byForker { try lock.unlock() } else { step.store(2) }
            #expect(try child.result() == [false, false, true])
            holder?.join()
            waiter.join()
            #expect(try lock.tryLock())
            try lock.unlock()
        }

        private func threadTries(_ lock: SharedLock) throws -> Bool {
            let taken = Counter()
            onThreads(1) { _ in if (try? lock.tryLock()) != false { taken.add(1) } }
            return taken.value > 0
        }

        /// Signals that interrupt every wait.
        @Test(arguments: LockKind.allCases) func interruptedWaits(kind: LockKind) throws {
            var action = sigaction()
            // Without SA_RESTART.
            action.__sigaction_handler.sa_handler = { _ in }
            var old = sigaction()
            sigaction(SIGURG, &action, &old)
            defer { sigaction(SIGURG, &old, nil) }
            let lock = try SharedLock(kind: kind)
            let number = try SharedAtomic(0)
            let (threads, ended) = (try SharedArray(repeating: pthread_t(0), count: 3), Counter())
            let isOver = Counter()
            let sender = OwnThread {
                while ended.value < 3 {
                    for i in threads.indices where threads[i] != 0 { pthread_kill(threads[i], SIGURG) }
                    usleep(50)
                }
                isOver.add(1)
            }
            let given = Counter()
            onThreads(3) { index in
                threads[index] = pthread_self()
                for turn in 0..<300 {
                    do {
                        if turn % 2 == 0 { try lock.lock() } else if try !lock.lock(timeout: .seconds(60)) { continue }
                        if number.add(1) == 1 { usleep(100) }
                        if number.add(-1) == 0 { given.add(1) }
                        try lock.unlock()
                    } catch { Issue.record(error) }
                }
                ended.add(1)
                // A thread that has ended can be sent nothing.
                while isOver.value == 0 { usleep(100) }
            }
            sender.join()
            #expect(given.value == 900)
        }
    }
}

/// Holds the lock from step 1 to step 2.
private func hold(_ lock: SharedLock, _ step: SharedAtomic<Int>) {
    try? lock.lock()
    step.store(1)
    while step.load() != 2 { usleep(200) }
    try? lock.unlock()
}
