import Glibc
import Synchronization

/// An executor that runs its jobs in the thread that asks for it, and when it does.
final class OneThread: TaskExecutor, @unchecked Sendable {
    // Unchecked: the semaphore is the C library's.
    private let jobs = Mutex<[UnownedJob]>([])
    private let count = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(count, 0, 0) }
    deinit { count.deallocate() }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
        sem_post(count)
    }

    /// Blocks until there is a job, and leaves it.
    func awaitJob() {
        while sem_wait(count) != 0 {}
        sem_post(count)
    }

    /// Blocks until there is a job, and runs it until it waits.
    func runNext() {
        while sem_wait(count) != 0 {}
        jobs.withLock { $0.removeFirst() }.runSynchronously(on: asUnownedTaskExecutor())
    }

    /// Starts a task that goes on in ``runNext()``.
    func start<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) -> Outcome<R> {
        let outcome = Outcome<R>(executor: self)
        Task.detached(executorPreference: self) {
            let result: Result<R, any Error>
            do { result = .success(try await body()) } catch { result = .failure(error) }
            outcome.result.withLock { $0 = result }
        }
        return outcome
    }

    /// What a task comes to.
    final class Outcome<R: Sendable>: Sendable {
        fileprivate let result = Mutex<Result<R, any Error>?>(nil)
        private let executor: OneThread

        fileprivate init(executor: OneThread) { self.executor = executor }

        /// Runs the task in the calling thread until it has ended.
        func get() throws -> R {
            while true {
                if let result = result.withLock({ $0 }) { return try result.get() }
                executor.runNext()
            }
        }
    }

    /// Runs a task in the calling thread. In a forked child the concurrency pool's own threads may be missing, as they are its parent's.
    static func finish<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) throws -> R { try OneThread().start(body).get() }
}
