import SystemLayer
import WorkTransfer
public import WorkerSupervision

/// Worker processes that stay, and the calls made in them.
///
/// ```swift
/// try withPool { pool in
///     print(try pool.apply(sayHello, "Jeff"))
/// }
/// ```
///
/// Functions are function references or closures that capture nothing; arguments and results are `Codable`. A worker that dies costs the task it was on, which
/// fails with ``WorkerTerminated``, and is replaced. A pool that is dropped without ``close()`` ends all its futures and its workers.
public final class Pool: Sendable {
    @usableFromInline let core: WorkerPool

    /// Starts the workers. Blocks until they run, not until they are ready.
    /// - Parameters:
    ///   - processes: how many; nil: as many as there are processors that this process may really use.
    ///   - initializer: called in each worker before its first task.
    /// - Throws: ``UsageError`` for a number below 1; `PlacementError`; ``TransferError`` for an initializer that cannot travel; the system's error when there can
    ///   be no more processes or memory. What had been started is ended.
    public init(processes: Int? = nil, initializer: WorkerInitializer? = nil, configuration: WorkerConfiguration = .init()) throws {
        core = try WorkerPool(workers: processes, initializer: initializer?.initializer, configuration: configuration)
    }

    deinit { if !core.isClosed { core.terminate() } }

    /// Takes no more work. The workers end when all that was submitted is done.
    public func close() { core.close() }

    /// Ends every future that has none yet as cancelled, and kills the workers.
    public func terminate() { core.terminate() }

    /// Waits for the workers' end. Blocks the calling thread.
    /// - Throws: ``UsageError`` when the pool is still open, for it would never end.
    public func join() throws {
        guard core.isClosed else { throw UsageError("A pool that is open does not end: call close() or terminate() before join().") }
        core.join()
    }
}

/// Makes a pool for `body`: closes it and waits for its end when `body` returns, terminates it when `body` throws.
public func withPool<T>(
    processes: Int? = nil, initializer: WorkerInitializer? = nil, configuration: WorkerConfiguration = .init(), _ body: (Pool) throws -> T
) throws -> T {
    let pool = try Pool(processes: processes, initializer: initializer, configuration: configuration)
    defer { pool.core.join() }
    do {
        let result = try body(pool)
        pool.close()
        return result
    } catch {
        pool.terminate()
        throw error
    }
}

/// Makes a pool for `body`: closes it and waits for its end when `body` returns, terminates it when `body` throws.
public nonisolated(nonsending) func withPool<T>(
    processes: Int? = nil, initializer: WorkerInitializer? = nil, configuration: WorkerConfiguration = .init(),
    _ body: (Pool) async throws -> T
) async throws -> T {
    let pool = try Pool(processes: processes, initializer: initializer, configuration: configuration)
    do {
        let result = try await body(pool)
        pool.close()
        await pool.core.waitForEnd()
        return result
    } catch {
        pool.terminate()
        await pool.core.waitForEnd()
        throw error
    }
}

extension WorkerPool {
    /// As `join()`, without blocking a thread.
    func waitForEnd() async {
        await withCheckedContinuation { continuation in finished.whenComplete { _ in continuation.resume() } }
    }
}
