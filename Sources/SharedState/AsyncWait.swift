import Synchronization
import SystemLayer

/// Lets an asynchronous function wait for what blocks a thread: on a thread of its own, so that none of the concurrency pool is held up.
package enum AsyncWait {
    /// Calls `body`, which may block, on a thread that is kept for such waits. Where one queue is all that is waited for,
    /// ``WaitQueue/waitAsynchronously(until:_:)`` has one thread for any number of tasks.
    ///
    /// Cancelling the task cancels what `body` is given, and so each ``WaitQueue/wait(until:cancellation:_:)`` it is passed to. What `body` returns is
    /// returned though the task may have been cancelled just then: nothing that was acquired is lost.
    /// - Throws: what `body` throws; `CancellationError` when the task was cancelled before.
    package static func run<R: Sendable>(_ body: @escaping @Sendable (WaitCancellation) throws -> R) async throws -> R {
        try Task.checkCancellation()
        let cancellation = WaitCancellation()
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                do {
                    try onThread { continuation.resume(with: Result { try body(cancellation) }) }
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        } onCancel: {
            cancellation.cancel()
        }
    }

    /// Calls `body`, which may block, on a thread that is kept for such things, and returns at once.
    static func onThread(_ body: @escaping @Sendable () -> Void) throws { try WaitingThreads.run(body) }
}

/// Threads that wait on behalf of asynchronous functions: one for each wait, kept for a while for the next.
enum WaitingThreads {
    static let lock = HostLock()
    // Guarded by `lock`.
    @exclusivity(unchecked) private nonisolated(unsafe) static var idle: [WaitingThread] = []

    /// How long a thread with nothing to do stays.
    private static let keeping = Duration.seconds(5)

    fileprivate static func run(_ work: @escaping @Sendable () -> Void) throws {
        lock.lock()
        let thread = idle.popLast()
        lock.unlock()
        if let thread { return thread.give(work) }
        try WaitingThread.start(work)
    }

    /// Makes `thread` known as one that has nothing to do, until it is given something or is no longer needed.
    /// - Returns: what it was given; nil when it is to end.
    fileprivate static func awaitWork(of thread: WaitingThread) -> (@Sendable () -> Void)? {
        lock.lock()
        idle.append(thread)
        lock.unlock()
        if let work = thread.take(until: Deadline(after: keeping)) { return work }
        lock.lock()
        let index = idle.firstIndex { $0 === thread }
        if let index { idle.remove(at: index) }
        lock.unlock()
        // Nobody knows of it any more; or somebody has just taken it off the list, and is about to give it something.
        return index != nil ? nil : thread.take(until: .never)
    }

    /// Under the lock.
    static func forgetAfterFork() {
        for thread in idle { _ = Unmanaged.passRetained(thread) }
        idle = []
    }
}

private final class WaitingThread: @unchecked Sendable {
    // Unchecked: `work` is the giver's while `isGiven` is 0, and the thread's while it is 1.
    private var work: (@Sendable () -> Void)?
    private let isGiven = FutexWord.makeFutexWord()

    deinit { isGiven.deallocate() }

    static func start(_ first: @escaping @Sendable () -> Void) throws {
        let thread = WaitingThread()
        try startThread(name: "mp-wait") {
            var next: (@Sendable () -> Void)? = first
            while let work = next {
                work()
                // What it holds on to goes before the thread sleeps.
                next = nil
                next = WaitingThreads.awaitWork(of: thread)
            }
        }
    }

    func give(_ work: @escaping @Sendable () -> Void) {
        self.work = work
        isGiven.pointee.store(1, ordering: .releasing)
        isGiven.wake()
    }

    func take(until deadline: Deadline) -> (@Sendable () -> Void)? {
        while isGiven.pointee.load(ordering: .acquiring) == 0 {
            if !isGiven.wait(while: 0, until: deadline), isGiven.pointee.load(ordering: .acquiring) == 0 { return nil }
        }
        defer {
            work = nil
            isGiven.pointee.store(0, ordering: .relaxed)
        }
        return work
    }
}
