import SystemLayer
import WorkerSupervision

extension ProcessPoolExecutor {
    /// Calls `function` with each of the inputs, and gives the results one by one, in the order of the inputs: with `for try await` as values, with `for` as
    /// `Result`s.
    ///
    /// Work starts at once. No more than `buffer` inputs are taken ahead of the results that were taken; leaving early drops what has not started.
    /// - Parameters:
    ///   - chunkSize: there for the sake of Python's; 1 or more. Workers take as many at once as is good, whatever it is: calls that wait for each other are to be
    ///     submitted singly.
    ///   - timeout: from this call; a result that is not there by then fails with ``TaskTimeout``, and the work goes on.
    public func map<A: Codable & Sendable, R: Codable & Sendable>(
        _ inputs: some Sequence<A>, chunkSize: Int = 1, timeout: Duration? = nil, buffer: Int = Pool.defaultBuffer,
        _ function: @escaping @Sendable (A) throws -> R
    ) -> Results<R> {
        Results(core, inputs, problem: chunkSizeError(chunkSize), buffer: buffer, timeout: timeout, isOrdered: true, function)
    }

    /// Calls `function` with each of the inputs, and gives all results, in the order of the inputs. The first error ends it, and so does the cancellation of the
    /// Swift task: what has not started is dropped.
    public func runAll<A: Codable & Sendable, R: Codable & Sendable>(
        _ inputs: some Sequence<A>, _ function: @escaping @Sendable (A) throws -> R
    ) async throws -> [R] {
        try await CompletionStream(inputs, buffer: Pool.defaultBuffer) { [core] in core.call(function, $0, isSupervised: true) }.all()
    }

    /// Calls `function` with each of the inputs, and returns when all calls have ended. The first error ends it, as does the cancellation of the Swift task.
    public func runAll<A: Codable & Sendable>(_ inputs: some Sequence<A>, _ function: @escaping @Sendable (A) throws -> Void) async throws {
        _ = try await CompletionStream(inputs, buffer: Pool.defaultBuffer) { [core] in core.callVoid(function, $0, isSupervised: true) }
            .all()
    }

    /// Calls `function` with each of the inputs, and gives the results as they come, each with the index of its input.
    ///
    /// Work starts at once. No more than 1,024 inputs are taken ahead of the results that were taken; leaving early drops what has not started.
    public func mapAsCompleted<A: Codable & Sendable, R: Codable & Sendable>(
        _ inputs: some Sequence<A>, _ function: @escaping @Sendable (A) throws -> R
    ) -> CompletedResults<R> {
        CompletedResults(
            stream: CompletionStream(inputs, buffer: Pool.defaultBuffer) { [core] in core.call(function, $0, isSupervised: true) })
    }
}
