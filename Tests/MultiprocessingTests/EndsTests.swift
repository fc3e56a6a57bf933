import Glibc
import Multiprocessing
import TestSupport
import Testing

/// Ends in order when it is asked to, and leaves a sign of it.
private func stayUntilAskedToEnd(_ begun: SharedValue<Int>, _ asked: SharedValue<Int>) {
    sign = asked
    signal(SIGTERM) { _ in
        sign?.value = 1
        _exit(0)
    }
    begun.value = 1
    sleepForEver()
}

private nonisolated(unsafe) var sign: SharedValue<Int>?

/// Locks the file at `path`, and keeps it open.
private func lockFile(_ path: String) -> Bool {
    let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    return file >= 0 && flock(file, LOCK_EX | LOCK_NB) == 0
}

extension PublicInterface {
    /// Ways in which work ends before it is done.
    @Suite struct EndsTests {
        @Test func everyOneOfManyTimeoutsComes() async throws {
            try await withProcessPoolExecutor(maxWorkers: 2) { ex in
                await withTaskGroup(of: Bool.self) { group in
                    for _ in 0..<200 {
                        group.addTask {
                            do { try await ex.run(sleepForEver, timeout: .milliseconds(50)) } catch is TaskTimeout { return true } catch {}
                            return false
                        }
                    }
                    for await hasTimedOut in group { #expect(hasTimedOut) }
                }
                try await #expect(ex.run(double, 4) == 8, "the workers are there again")
            }
        }

        /// Each has it at once: what a process has held is free when its end is seen, though its memory may be given back later.
        @Test func whatProcessesHeldIsFreeAtTheirEnds() throws {
            let path = "/tmp/mp-ends-\(getpid())"
            defer { unlink(path) }
            for _ in 0..<50 {
                let child = ChildProcess(lockFile, path)
                try child.start()
                try #expect(child.result())
            }
            for _ in 0..<10 { try withPool(processes: 1) { try #expect($0.apply(lockFile, path)) } }
        }

        @Test func terminatedWorkersMayEndInOrder() throws {
            let executor = try ProcessPoolExecutor(maxWorkers: 1)
            let begun = try SharedValue<Int>(0)
            let asked = try SharedValue<Int>(0)
            let future = executor.submit(stayUntilAskedToEnd, begun, asked)
            #expect(eventually { begun.value == 1 })
            executor.terminateWorkers()
            #expect(throws: CancellationError.self) { try future.get() }
            executor.shutdown()
            #expect(asked.value == 1)
        }

        @Test func workersThatWillNotBeTerminatedAreKilled() throws {
            let executor = try ProcessPoolExecutor(maxWorkers: 1)
            let begun = try SharedValue<Int>(0)
            let future = executor.submit(begun) { (begun: SharedValue<Int>) in
                signal(SIGTERM, SIG_IGN)
                begun.value = 1
                sleepForEver()
            }
            #expect(eventually { begun.value == 1 })
            executor.terminateWorkers()
            #expect(throws: CancellationError.self) { try future.get() }
            executor.shutdown()
        }

        @Test func cancellingASumCancelsItsParts() throws {
            try withPool(processes: 1) { pool in
                let sum = pool.mapAsync(0..<10) { (_: Int) in sleepForEver() }
                #expect(sum.cancel())
                #expect(sum.isCancelled)
                #expect(throws: CancellationError.self) { try sum.get() }
                #expect(!sum.cancel())
                try #expect(pool.apply(double, 1) == 2)
            }
        }

        @Test func aCopyLeavesItsParentsFuturesAlone() throws {
            try withPool(processes: 1) { pool in
                let begun = try SharedValue<Int>(0)
                let release = try SharedValue<Int>(0)
                let future = pool.applyAsync(beginAndWait, begun, release)
                #expect(eventually { begun.value == 1 })
                let copy = ChildProcess(configuration: .init(.fork)) {
                    let isRefused = (try? future.get()) == nil
                    return !future.cancel() && !future.isDone && isRefused && (try? pool.apply(double, 1)) == nil
                }
                try copy.start()
                #expect(try copy.result())
                release.value = 5
                try #expect(future.get() == 5)
            }
        }

        @Test func aCopyLeavesItsParentsProcessesAlone() throws {
            let release = try SharedValue<Int>(0)
            let begun = try SharedValue<Int>(0)
            let child = ChildProcess(beginAndWait, begun, release)
            try child.start()
            let copy = ChildProcess(configuration: .init(.fork)) {
                release.value = 5
                return (try? child.result()) == nil && child.status == nil
            }
            try copy.start()
            #expect(try copy.result())
            try #expect(child.result() == 5)
        }
    }
}
