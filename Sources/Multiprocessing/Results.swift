import BinaryCoding
import SystemLayer
import WorkTransfer
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
        let deadline = Deadline(after: timeout)
        func make() throws -> ResultsState<R>.Source {
            if let problem { throw problem }
            if buffer < 1 { throw UsageError("buffer is \(buffer); it must be 1 or more.") }
            guard isOrdered else {
                return .inCompletionOrder(CompletionStream(inputs, buffer: buffer) { pool.call(function, $0, isSupervised: true) })
            }
            return .inInputOrder(
                try OrderedResults(
                    inputs, buffer: buffer, UnaryInvocation(function), in: pool,
                    decodingRunsUsersCode: decodingRunsUsersCode(R.self),
                    encode: { try UnaryInvocation<A, R>.encodeArguments($0, to: $1) },
                    decode: { try UnaryInvocation<A, R>.decodeOutput(from: &$0) }))
        }
        do {
            state = ResultsState(try make(), deadline, timeout)
        } catch {
            state = ResultsState(.inCompletionOrder(CompletionStream([error], buffer: 1) { Future(failing: $0) }), deadline, timeout)
        }
    }
}

final class ResultsState<R: Sendable>: Sendable {
    enum Source: Sendable {
        case inInputOrder(OrderedResults<R>)
        case inCompletionOrder(CompletionStream<R>)
    }

    let source: Source
    let deadline: Deadline
    let timeout: Duration?

    init(_ source: Source, _ deadline: Deadline, _ timeout: Duration?) {
        self.source = source
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
            switch state.source {
            case .inInputOrder(let results): return results.nextResult(until: state.deadline, state.timeout)
            case .inCompletionOrder(let stream):
                do {
                    return try stream.next(until: state.deadline)?.future.waitForResult(until: state.deadline, state.timeout)
                } catch {
                    return .failure(error)
                }
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
            switch state.source {
            case .inInputOrder(let results): return try await results.nextResult(until: state.deadline)?.get()
            case .inCompletionOrder(let stream): return try await stream.next(until: state.deadline)?.future.value
            }
        }
    }

    /// An iterator over what is left.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(state: state) }
}
