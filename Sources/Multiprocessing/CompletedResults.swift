import SystemLayer
import WorkerSupervision

/// The results of many calls as they come, each with the index of its input. It is passed through once.
public struct CompletedResults<R: Sendable>: AsyncSequence, Sendable {
    /// The index of an input in the sequence of inputs, and what became of its call.
    public typealias Element = (index: Int, result: Result<R, any Error>)
    /// An error is part of an element.
    public typealias Failure = Never
    let stream: CompletionStream<R>

    /// Gives results without blocking a thread.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let stream: CompletionStream<R>

        /// The next result; nil at the end, and when the awaiting task is cancelled.
        public mutating func next() async -> Element? {
            guard let (index, future) = try? await stream.next(until: .never) else { return nil }
            return (index, await future.result)
        }
    }

    /// An iterator over what is left.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: stream) }
}

/// Futures as they end.
public struct CompletedFutures<R: Sendable>: AsyncSequence, Sendable {
    /// A future that has ended.
    public typealias Element = Future<R>
    let stream: CompletionStream<R>
    let deadline: Deadline

    /// Gives futures without blocking a thread.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let stream: CompletionStream<R>
        let deadline: Deadline

        /// The next future to have ended. Throws ``TaskTimeout`` when the time is over, `CancellationError` when the awaiting task is cancelled.
        public mutating func next() async throws -> Future<R>? { try await stream.next(until: deadline)?.future }
    }

    /// An iterator over what is left.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: stream, deadline: deadline) }
}

/// Gives `futures` as they end.
/// - Parameter timeout: from this call; the sequence throws ``TaskTimeout`` when it passes. The work goes on.
public func asCompleted<R>(_ futures: [Future<R>], timeout: Duration? = nil) -> CompletedFutures<R> {
    CompletedFutures(stream: CompletionStream(futures, buffer: .max, cancelsRest: false) { $0 }, deadline: Deadline(after: timeout))
}

/// What to wait for.
public enum WaitCondition: Sendable, Hashable {
    case allCompleted
    /// Any of them has ended.
    case firstCompleted
    /// Any of them has failed, or all have ended.
    case firstError
}

/// Waits for some or all of `futures`. Blocks the calling thread.
/// - Parameter timeout: from now. It ends the wait, and does not throw.
/// - Returns: those that have ended, and those that have not, each in the order of `futures`.
public func wait<R>(
    for futures: [Future<R>], until condition: WaitCondition = .allCompleted, timeout: Duration? = nil
) throws -> (done: [Future<R>], pending: [Future<R>]) {
    let stream = CompletionStream(futures, buffer: .max, cancelsRest: false) { $0 }
    let deadline = Deadline(after: timeout)
    var hasFailed = false
    var count = 0
    while count < futures.count, !(condition == .firstCompleted && count > 0), !(condition == .firstError && hasFailed) {
        guard let (_, future) = try? stream.next(until: deadline) else { break }
        count += 1
        if condition == .firstError, case .failure = future.waitForResult(until: deadline, timeout) { hasFailed = true }
    }
    return (futures.filter(\.isDone), futures.filter { !$0.isDone })
}
