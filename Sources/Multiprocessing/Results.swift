import SystemLayer
import WorkerSupervision

/// The results of many calls, as they are asked for: an asynchronous sequence of values, and a sequence of `Result`s.
///
/// It is passed through once: its iterators share what is left.
public struct Results<R: Sendable>: Sendable {
    let state: ResultsState<R>

    init<A: Codable & Sendable>(
        _ pool: WorkerPool, _ inputs: some Sequence<A>, problem: UsageError?, buffer: Int, timeout: Duration? = nil, isOrdered: Bool,
        _ function: @escaping @Sendable (A) throws -> R
    ) where R: Codable {
        var problem = problem
        if buffer < 1 { problem = UsageError("buffer is \(buffer); it must be 1 or more.") }
        let failure = problem
        let deadline = Deadline(after: timeout)
        if let failure {
            state = ResultsState(CompletionStream([failure], buffer: 1, isOrdered: true) { Future(failing: $0) }, deadline, timeout)
        } else {
            state = ResultsState(
                CompletionStream(inputs, buffer: buffer, isOrdered: isOrdered) { pool.call(function, $0, isSupervised: !isOrdered) },
                deadline, timeout)
        }
    }
}

final class ResultsState<R: Sendable>: Sendable {
    let stream: CompletionStream<R>
    let deadline: Deadline
    let timeout: Duration?

    init(_ stream: CompletionStream<R>, _ deadline: Deadline, _ timeout: Duration?) {
        self.stream = stream
        self.deadline = deadline
        self.timeout = timeout
    }
}

extension Results: Sequence {
    /// As a sequence it gives `Result`s.
    @_implements(Sequence,Element) public typealias SequenceElement = Result<R, any Error>

    /// Gives results to a blocking loop.
    public struct Iterator: IteratorProtocol {
        /// A call's value or error.
        public typealias Element = Result<R, any Error>
        let state: ResultsState<R>

        /// Waits for the next result. Blocks the calling thread.
        public mutating func next() -> Result<R, any Error>? {
            do {
                guard let (_, future) = try state.stream.next(until: state.deadline) else { return nil }
                return future.waitForResult(until: state.deadline, state.timeout)
            } catch {
                return .failure(error)
            }
        }
    }

    /// An iterator over what is left.
    public func makeIterator() -> Iterator { Iterator(state: state) }
}

extension Results: AsyncSequence {
    /// As an asynchronous sequence it gives values, and throws errors.
    @_implements(AsyncSequence,Element) public typealias AsyncElement = R
    /// What its calls may throw.
    public typealias Failure = any Error

    /// Gives values without blocking a thread.
    public struct AsyncIterator: AsyncIteratorProtocol {
        /// A call's value.
        public typealias Element = R
        /// What its calls may throw.
        public typealias Failure = any Error
        let state: ResultsState<R>

        /// The next value. Throws what its call threw, `CancellationError` when the awaiting task is cancelled, ``TaskTimeout``.
        public mutating func next() async throws -> R? {
            guard let (_, future) = try await state.stream.next(until: state.deadline) else { return nil }
            if future.core.outcome == nil {
                try await suspend(until: state.deadline) { resume in future.core.whenComplete { _ in resume() } }
            }
            return try await future.value
        }
    }

    /// An iterator over what is left.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(state: state) }
}
