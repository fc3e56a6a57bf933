import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// A thread that takes what it holds already: it is told, instead of waiting for itself for ever.
    @Suite struct SharedLockMistakesTests {
        @Test(arguments: LockKind.allCases, [false, true]) func aLockIsNotTakenTwice(kind: LockKind, isProfiled: Bool) throws {
            let lock = try SharedLock(name: "the ledger", kind: kind, profiling: isProfiled)
            let ways: [() throws -> Void] = [
                { try lock.lock() }, { _ = try lock.lock(timeout: .seconds(100)) },
                { _ = try lock.withLock { Issue.record("the body must not run") } },
                { _ = try lock.withLock(repair: {}) { Issue.record("the body must not run") } },
                { _ = try lock.withLock(timeout: .seconds(100)) { Issue.record("the body must not run") } },
            ]
            try lock.withLock {
                for way in ways {
                    let error = try errorThrown(SharedMemoryError.self, by: way)
                    #expect(error.description.contains("the ledger") && error.description.contains("SharedRecursiveLock"))
                    #expect(try !lock.tryLock())
                }
            }
            // It was held all the while, and is free.
            #expect(throws: SharedMemoryError.self) { try lock.unlock() }
            onThreads(1) { _ in #expect(throws: Never.self) { try lock.withLock {} } }
        }

        /// More locks than a thread's list has places for.
        @Test func oneOfManyIsNotTakenTwice() throws {
            let locks = try (0..<9).map { _ in try SharedLock() }
            for lock in locks { try lock.lock() }
            for lock in locks { #expect(throws: SharedMemoryError.self) { try lock.lock() } }
            for lock in locks.reversed() { try lock.unlock() }
            onThreads(1) { _ in for lock in locks { #expect(throws: Never.self) { try lock.withLock {} } } }
        }

        /// In a task, what holds a lock is the thread that runs what is under it.
        @Test func tasksAreToldToo() async throws {
            let lock = try SharedLock()
            let isTaken = try await lock.async.withLock {
                #expect(throws: SharedMemoryError.self) { try lock.lock() }
                return try lock.tryLock()
            }
            #expect(!isTaken)
            #expect(try lock.tryLock())
            try lock.unlock()
        }

        @Test(arguments: Misuse.allCases) func usingAValueWithinItselfEndsTheProcess(misuse: Misuse) throws {
            let scene = Misuse.Scene(
                misuse: misuse, value: try SharedValue(1), array: try SharedArray([1, 2]), large: try SharedArray([Large(), Large()]),
                output: "/tmp/mp-misuse-\(getpid())-\(misuse)")
            defer { unlink(scene.output) }
            let child = ChildProcess(scene) { (scene: Misuse.Scene) in
                // What it says as it ends is what is to be read.
                let file = open(scene.output, O_CREAT | O_WRONLY | O_TRUNC, 0o600)
                dup2(file, 2)
                scene.misuse.happen(scene)
            }
            try child.start()
            let death = try errorThrown(WorkerTerminated.self) { try child.result() }
            #expect(Death.trap.isShown(by: death.status), "\(death)")
            let text = readAll(scene.output) ?? ""
            #expect(text.contains("withLock") && text.contains("would wait for itself"), "\(text)")
            // Whoever comes next has the lock.
            scene.value.withLock { $0 += 1 }
            #expect(scene.value.value == 2)
            scene.array.withLock { $0[0] += 1 }
        }
    }
}

/// What no update is in one piece of.
struct Large: BitwiseCopyable, Sendable { var numbers = (1, 2, 3) }

/// The ways in which a lock that cannot be seen is taken twice.
enum Misuse: String, Codable, CaseIterable, Sendable {
    case valueWithin, valueWithinForAWhile, valueSet, arrayWithin, arrayWithinForAWhile, arrayRepaired, elementSet, elementRead

    struct Scene: Codable, Sendable {
        let misuse: Misuse
        let value: SharedValue<Int>
        let array: SharedArray<Int>
        let large: SharedArray<Large>
        let output: String
    }

    func happen(_ scene: Scene) {
        let (value, array) = (scene.value, scene.array)
        switch self {
        case .valueWithin: value.withLock { _ in value.withLock { $0 += 1 } }
        case .valueWithinForAWhile: value.withLock { _ in _ = value.withLock(timeout: .seconds(100)) { $0 += 1 } }
        case .valueSet: value.withLock { _ in value.value = 3 }
        case .arrayWithin: array.withLock { _ in array.withLock { $0[0] += 1 } }
        case .arrayWithinForAWhile: array.withLock { _ in _ = array.withLock(timeout: .seconds(100)) { $0[0] += 1 } }
        case .arrayRepaired: array.withLock { _ in array.withLock(repair: { _ in }) { $0[0] += 1 } }
        case .elementSet: array.withLock { _ in array[0] = 3 }
        case .elementRead: scene.large.withLock { _ in _ = scene.large[0] }
        }
    }
}
