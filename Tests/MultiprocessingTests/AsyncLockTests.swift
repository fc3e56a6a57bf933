import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// Locks that tasks take.
    @Suite struct AsyncLockTests {
        /// One wait of each form that has a deadline: nil when it has passed.
        private struct Forms {
            let lock: SharedLock
            let recursive: SharedRecursiveLock
            let value: SharedValue<Int>
            let array: SharedArray<Int>

            init(_ kind: LockKind) throws {
                lock = try SharedLock(kind: kind)
                recursive = try SharedRecursiveLock()
                value = try SharedValue(0)
                array = try SharedArray(repeating: 0, count: 3)
            }

            var all: [@Sendable (Duration) async throws -> Int?] {
                [
                    { try await lock.async.withLock(timeout: $0) { 1 } },
                    { try await lock.async.withLock(timeout: $0, repair: {}) { 2 } },
                    { try await recursive.async.withLock(timeout: $0) { 3 } },
                    { try await recursive.async.withLock(timeout: $0, repair: {}) { 4 } },
                    {
                        try await value.async.withLock(timeout: $0) {
                            $0 += 1
                            return 5
                        }
                    },
                    {
                        try await array.async.withLock(timeout: $0) {
                            $0[0] += 1
                            return 6
                        }
                    },
                    {
                        try await array.async.withLock(timeout: $0, repair: { _ in }) {
                            $0[0] += 1
                            return 7
                        }
                    },
                    {
                        value.withLock(timeout: $0) {
                            $0 += 1
                            return 8
                        }
                    },
                    {
                        array.withLock(timeout: $0) {
                            $0[0] += 1
                            return 9
                        }
                    },
                    {
                        array.withLock(timeout: $0, repair: { _ in }) {
                            $0[0] += 1
                            return 10
                        }
                    },
                ]
            }

            /// Calls `body` while a thread holds all of them.
            func whileHeld<R>(_ body: () async throws -> R) async throws -> R {
                let (isHeld, isToEnd) = (try SharedEvent(), try SharedEvent())
                let thread = OwnThread {
                    try? lock.withLock {
                        try recursive.withLock {
                            try value.withLock { _ in
                                try array.withLock { _ in
                                    try isHeld.set()
                                    try isToEnd.wait()
                                }
                            }
                        }
                    }
                }
                try await isHeld.async.wait()
                let result: Result<R, any Error>
                do { result = .success(try await body()) } catch { result = .failure(error) }
                try isToEnd.set()
                thread.join()
                return try result.get()
            }
        }

        @Test(arguments: SharedConditionTests.kinds) func timeouts(kind: LockKind) async throws {
            let forms = try Forms(kind)
            try await forms.whileHeld {
                for form in forms.all {
                    #expect(try await form(.zero) == nil)
                    #expect(try await form(.milliseconds(5)) == nil)
                }
                // Many at once: one waits for the lock, and the others until it is their turn to.
                try await withThrowingTaskGroup(of: Int?.self) { group in
                    for i in 0..<200 {
                        let form = forms.all[i % 7]
                        group.addTask { try await form(.milliseconds((i * 37) % 50)) }
                    }
                    for try await result in group { #expect(result == nil) }
                }
            }
            for (index, form) in forms.all.enumerated() {
                #expect(try await form(.zero) == index + 1)
                // Longer than the clock goes.
                #expect(try await form(.seconds(Int64.max)) == index + 1)
            }
            #expect(forms.value.value == 4)
            #expect(forms.array[0] == 8)
        }

        /// One that has time gets the lock though others before and behind it have given up.
        @Test(arguments: SharedConditionTests.kinds) func thePatientGetIt(kind: LockKind) async throws {
            let forms = try Forms(kind)
            let waits = try await forms.whileHeld {
                let waits = (0..<60).map { i in
                    Task { try await forms.all[i % 7](i % 3 == 0 ? .milliseconds(i % 20) : .seconds(1000)) }
                }
                for (i, wait) in waits.enumerated() where i % 3 == 0 {
                    let result = try await wait.value
                    #expect(result == nil)
                }
                for (i, wait) in waits.enumerated() where i % 3 == 1 { wait.cancel() }
                return waits
            }
            for (i, wait) in waits.enumerated() {
                switch i % 3 {
                case 0: #expect(try await wait.value == nil)
                // It may have been a moment late.
                case 1: do { #expect(try await wait.value == i % 7 + 1) } catch is CancellationError {}
                default: #expect(try await wait.value == i % 7 + 1)
                }
            }
        }

        @Test(arguments: SharedConditionTests.kinds) func aThousandTasksWait(kind: LockKind) async throws {
            let lock = try SharedLock(kind: kind)
            let counter = try SharedValue(0)
            for isToBeCancelled in [false, true] {
                let holder = try Holder { try lock.withLock($0) }
                let tasks = (0..<1_000).map { _ in Task { try await lock.async.withLock { counter.value += 1 } } }
                for _ in 0..<1_000 { await Task.yield() }
                #expect(waitingThreads() < 100)
                if isToBeCancelled {
                    for task in tasks { task.cancel() }
                    var cancelled = 0
                    for task in tasks { do { try await task.value } catch is CancellationError { cancelled += 1 } }
                    #expect(cancelled == 1_000)
                }
                holder.release()
                if !isToBeCancelled { for task in tasks { try await task.value } }
                #expect(counter.value == 1_000)
            }
            #expect(try lock.tryLock())
            try lock.unlock()
        }

        /// Tasks are cancelled, or out of time, at any moment, while a process takes turns with them: what is under the lock is done once, or not at all.
        @Test(arguments: SharedConditionTests.kinds) func exactUnderFire(kind: LockKind) async throws {
            let lock = try SharedLock(kind: kind)
            let counter = try SharedValue(0)
            let child = ChildProcess(lock, counter) { (lock: SharedLock, counter: SharedValue<Int>) in
                for _ in 0..<2_000 {
                    try lock.withLock {
                        counter.value += 1
                        usleep(5)
                    }
                }
            }
            try child.start()
            let done = Counter()
            for round in 0..<100 {
                let tasks = (0..<8).map { index in
                    Task {
                        let result: Void? =
                            index % 2 == 0
                            ? try await lock.async.withLock { counter.value += 1 }
                            : try await lock.async.withLock(timeout: .microseconds(index * 20)) { counter.value += 1 }
                        if result != nil { done.add(1) }
                    }
                }
                for _ in 0..<round % 10 { await Task.yield() }
                for task in tasks.prefix(5) { task.cancel() }
                for task in tasks { do { try await task.value } catch is CancellationError {} }
            }
            _ = try await child.value
            #expect(counter.value == 2_000 + done.value)
        }

        /// One is told, whether it is the first to find out or not, and though who waited first is told nothing any more.
        @Test(arguments: [LockKind.adaptive, .pthreadRobust]) func aDeathIsToldOnce(kind: LockKind) async throws {
            for round in 0..<20 {
                let lock = try SharedLock(kind: kind)
                let held = try SharedEvent()
                let child = ChildProcess(lock, held) { (lock: SharedLock, held: SharedEvent) in
                    try lock.lock()
                    try held.set()
                    sleepForEver()
                }
                try child.start()
                try await held.async.wait()
                let tasks = (0..<10).map { _ in Task { try await lock.async.withLock {} } }
                for _ in 0..<50 { await Task.yield() }
                child.kill()
                if round % 2 == 0 { for task in tasks { task.cancel() } }
                var told = 0
                for task in tasks { do { try await task.value } catch is OwnerDied { told += 1 } catch is CancellationError {} }
                _ = try? await child.value
                if told == 0 {
                    // All were cancelled before.
                    #expect(throws: OwnerDied.self) { try lock.lock() }
                    try lock.unlock()
                    told += 1
                }
                #expect(told == 1)
                try lock.withLock {}
            }
        }

        /// The waits of tasks are in the lock's profile, with who waited.
        @Test(arguments: SharedConditionTests.kinds) func waitsAreProfiled(kind: LockKind) async throws {
            let lock = try SharedLock(kind: kind, profiling: true)
            try await lock.async.withLock {}
            #expect(lock.profile.contended == 0)
            let holder = try Holder { try lock.withLock($0) }
            #expect(try await lock.async.withLock(timeout: .milliseconds(1)) {} == nil)
            let waits = (0..<4).map { _ in Task { try await lock.async.withLock {} } }
            for _ in 0..<100 { await Task.yield() }
            waits[0].cancel()
            await #expect(throws: CancellationError.self) { try await waits[0].value }
            holder.release()
            for wait in waits[1...] { try await wait.value }
            let profile = lock.profile
            #expect(profile.acquisitions == 5)
            // A task may not have begun to wait by then.
            #expect((1...2).contains(profile.timeouts))
            #expect((0...3).contains(profile.contended))
            #expect(profile.waitingSites.allSatisfy { $0.site.file.hasSuffix("AsyncLockTests.swift") })
        }
    }
}
