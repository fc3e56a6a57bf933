import Glibc
import SystemLayer
public import WorkerSupervision

/// Worker processes for use from asynchronous code, after Python's `concurrent.futures`.
///
/// ```swift
/// try await withProcessPoolExecutor { ex in
///     async let a = ex.run(countdown, 100_000_000)
///     for try await result in ex.map([1, 3, 5], count) { print(result) }
///     print(try await a)
/// }
/// ```
///
/// An executor that is dropped without ``shutdown(wait:cancelPending:)`` ends all its futures and its workers.
public final class ProcessPoolExecutor: Sendable {
    @usableFromInline let core: WorkerPool

    /// Starts the workers. Blocks until they run, not until they are ready.
    /// - Parameters:
    ///   - maxWorkers: how many; nil: as many as there are processors that this process may really use.
    ///   - initializer: called in each worker before its first task.
    /// - Throws: as `Pool.init` does.
    public init(maxWorkers: Int? = nil, initializer: WorkerInitializer? = nil, configuration: WorkerConfiguration = .init()) throws {
        core = try WorkerPool(workers: maxWorkers, initializer: initializer?.initializer, configuration: configuration)
    }

    deinit { if !core.isClosed { core.terminate() } }

    /// Takes no more work; the workers end when all that was submitted is done.
    /// - Parameters:
    ///   - wait: block until then. Otherwise the work goes on, also past the last reference, and the program's normal exit waits for it.
    ///   - cancelPending: end as cancelled what no worker has taken yet.
    public func shutdown(wait: Bool = true, cancelPending: Bool = false) {
        core.close()
        if cancelPending { core.cancelPending() }
        if wait { core.join() } else { core.finishBeforeExit() }
    }

    /// Ends every future that has none yet as cancelled, and the workers by SIGTERM; those that are still there after a second
    /// are killed.
    public func terminateWorkers() {
        core.terminate(grace: .seconds(1))
    }

    /// Ends every future that has none yet as cancelled, and the workers by SIGKILL.
    public func killWorkers() { core.terminate() }
}

/// Makes an executor for `body`: shuts it down and waits for its end when `body` returns, kills its workers when `body` throws.
public func withProcessPoolExecutor<T>(
    maxWorkers: Int? = nil, initializer: WorkerInitializer? = nil, configuration: WorkerConfiguration = .init(),
    _ body: (ProcessPoolExecutor) throws -> T
) throws -> T {
    let executor = try ProcessPoolExecutor(maxWorkers: maxWorkers, initializer: initializer, configuration: configuration)
    defer { executor.core.join() }
    do {
        let result = try body(executor)
        executor.core.close()
        return result
    } catch {
        executor.killWorkers()
        throw error
    }
}

/// Makes an executor for `body`: shuts it down and waits for its end when `body` returns, kills its workers when `body` throws.
public nonisolated(nonsending) func withProcessPoolExecutor<T>(
    maxWorkers: Int? = nil, initializer: WorkerInitializer? = nil, configuration: WorkerConfiguration = .init(),
    _ body: (ProcessPoolExecutor) async throws -> T
) async throws -> T {
    let executor = try ProcessPoolExecutor(maxWorkers: maxWorkers, initializer: initializer, configuration: configuration)
    do {
        let result = try await body(executor)
        executor.core.close()
        await executor.core.waitForEnd()
        return result
    } catch {
        executor.killWorkers()
        await executor.core.waitForEnd()
        throw error
    }
}
