import Glibc
import Synchronization
import SystemLayer

@testable import SharedState

/// Deaths of threads that wait in a queue, or notify those who do, while another waits behind: it gets what there is, and is woken by what comes.
enum WaitExperiments {
    /// The victim gives a permit to the one that waits.
    static func notify() throws {
        let scene = try Scene()
        try scene.run("SharedSemaphore.release, with a sleeper", operation: { try scene.semaphore.release() })
    }

    /// The victim has been notified, and takes what it waited for.
    static func useNotification() throws {
        let scene = try Scene()
        try scene.run(
            "WaitQueue.wait, notified", before: { try scene.enterAndGetNotified() },
            operation: { try scene.wait { scene.semaphore.take() } })
    }

    /// The victim has been notified, and does not want it any more.
    static func passOn() throws {
        struct Trouble: Error {}
        let scene = try Scene()
        try scene.run(
            "WaitQueue.wait, notified and given up", before: { try scene.enterAndGetNotified() },
            operation: { do { try scene.wait { throw Trouble() } } catch is Trouble {} })
    }

    /// The victim has been notified, finds nothing, and looks once more before it would sleep again.
    static func waitAgain() throws {
        let scene = try Scene()
        try scene.run(
            "WaitQueue.wait, notified in vain", before: { try scene.enterAndGetNotified(permits: 0) },
            operation: {
                var looks = 0
                try scene.wait {
                    looks += 1
                    return looks == 3 ? () : nil
                }
            })
    }

    /// The victim enters, and finds then that it need not wait.
    static func enterAndLeave() throws {
        let scene = try Scene()
        try scene.run(
            "WaitQueue.wait, without sleeping",
            operation: {
                var looks = 0
                _ = try scene.semaphore.queue.wait(until: .never) { () -> Void? in
                    looks += 1
                    return looks == 2 ? () : nil
                }
            })
    }

    /// A semaphore without permits, and a thread that waits behind the victim.
    private final class Scene: @unchecked Sendable {
        // Unchecked: used by one thread at a time, but for what is atomic.
        let arena: Arena
        let semaphore: SharedSemaphore
        private var waiter: Waiter?
        private let isSleeperDone = Atomic<Bool>(true)

        init() throws {
            arena = try Arena.current()
            semaphore = try SharedSemaphore(0)
        }

        private var entries: [WaitEntry] {
            (0..<WaitQueue.capacity).map {
                WaitEntryPlace(semaphore.queue.offset + WaitQueue.entries + 8 * $0, in: arena).load()
            }
        }

        func run(_ name: String, before: @escaping () throws -> Void = {}, operation: @escaping () throws -> Void) throws {
            try Execution(
                name: name, arena: arena, inheritsHandles: true,
                // The first use of all that a victim uses is not part of its path.
                before: {
                    _ = ThreadRecords.currentToken(in: self.arena)
                    try before()
                },
                meanwhile: { try self.startSleeper() }, operation: operation, check: { _ in try self.check() },
                undo: { while try self.semaphore.tryAcquire() {} }
            ).run()
        }

        /// As a waiter that was first, and has been notified of a permit, which another may have been faster to take.
        func enterAndGetNotified(permits: Int = 1) throws {
            waiter = semaphore.queue.enter()
            semaphore.queue.whileChanging { semaphore.queue.notify() }
            try semaphore.release(permits)
        }

        func wait(_ attempt: () throws -> Void?) throws {
            guard let waiter else { return }
            _ = try semaphore.queue.wait(as: waiter, until: .never, attempt)
        }

        private func startSleeper() throws {
            isSleeperDone.store(false, ordering: .sequentiallyConsistent)
            // It looks when it comes, and there may be a permit: the victim's, which has been notified of it.
            guard let permits = UInt64(exactly: semaphore.value) else { return }
            let word = arena.word(Int(semaphore.handle) + ObjectBlock.payload)
            word.pointee.store(0, ordering: .sequentiallyConsistent)
            let semaphore = semaphore
            try startThread(name: "sleeper") {
                do { try semaphore.acquire() } catch { return }
                self.isSleeperDone.store(true, ordering: .sequentiallyConsistent)
            }
            try wait(for: "the thread that was to sleep does not") { entries.contains { $0 != .free && $0.phase == .asleep } }
            word.pointee.store(permits, ordering: .sequentiallyConsistent)
        }

        /// A permit that is there is the sleeper's; and where there was none, the next one is.
        private func check() throws {
            try wait(for: "there is a permit, and who waits for it sleeps on") { semaphore.value == 0 || isDone }
            if !isDone {
                // The victim has taken it with it; or has not given it yet, or the sleeper is just having it.
                try semaphore.release()
                try wait(for: "who waits is not woken any more") { isDone }
            }
            while try semaphore.tryAcquire() {}
            try requireEqual(entries.count { $0 != .free }, 0)
        }

        private var isDone: Bool { isSleeperDone.load(ordering: .sequentiallyConsistent) }

        private func wait(for failure: String, _ condition: () -> Bool) throws {
            let deadline = Deadline(after: .seconds(20))
            while !condition() {
                if deadline.hasPassed { throw Laboratory.Failure(description: failure) }
                usleep(50)
            }
        }
    }
}
