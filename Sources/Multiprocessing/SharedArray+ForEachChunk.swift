public import SharedState
import WorkerSupervision

/// Many workers at one array, each on elements of its own.
extension SharedArray {
    /// Calls `body` with each of `count` neighbouring parts of the array in the workers of `pool`, and waits for all of them. Blocks the calling thread.
    ///
    /// What travels is the array's place: nothing is copied, however large it is. Each part is a task of its own, and nobody else is given its elements; `body` works
    /// on them in place, and without the array's lock.
    ///
    /// ```swift
    /// try image.forEachChunk(in: pool) { part in
    ///     part.withMutableSpan { pixels in for i in pixels.indices { pixels[i] *= 2 } }
    /// }
    /// ```
    /// - Parameter count: how many parts; nil: four for each worker, so that none waits long for another that is slower. Parts that would be empty are left out.
    /// - Throws: the error of the first part, in their order, whose call failed, once all have ended; ``UsageError`` for a `count` below 1.
    public func forEachChunk(in pool: Pool, count: Int? = nil, _ body: @escaping @Sendable (Chunk) throws -> Void) throws {
        try pool.map(parts(count, workers: pool.core.workerCount), body)
    }

    /// As ``forEachChunk(in:count:_:)`` in the workers of an executor. The first error ends it, and so does the cancellation of the Swift task: parts that have not been
    /// begun are dropped.
    public func forEachChunk(
        in executor: ProcessPoolExecutor, count: Int? = nil, _ body: @escaping @Sendable (Chunk) throws -> Void
    ) async throws {
        try await executor.runAll(parts(count, workers: executor.core.workerCount), body)
    }

    private func parts(_ count: Int?, workers: Int) throws -> [Chunk] {
        if let count, count < 1 { throw UsageError("An array cannot be worked on in \(count) parts: ask for 1 or more.") }
        return evenlyChunked(in: min(count ?? 4 * workers, max(1, self.count))).filter { $0.count > 0 }
    }
}
