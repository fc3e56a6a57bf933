import SystemLayer

extension SharedQueue {
    /// The queue for asynchronous functions: what blocks a thread elsewhere suspends the task here, and cancelling the task ends the wait.
    ///
    /// ```swift
    /// for try await job in jobs.async { … }      // until the queue is closed and empty
    /// ```
    public var async: Async { Async(queue: self) }

    /// A ``SharedQueue`` as asynchronous functions use it, and the sequence of the values that are got from it, which ends when it is closed and empty.
    public struct Async: Sendable, AsyncSequence {
        let queue: SharedQueue

        /// As ``SharedQueue/put(_:)``.
        /// - Throws: what that throws; `CancellationError` when the task was cancelled, and then nothing was put.
        public func put(_ value: T) async throws { _ = try await queue.putAsynchronously(value, until: .never) }

        /// As ``SharedQueue/put(_:timeout:)``.
        /// - Throws: as ``put(_:)``.
        public func put(_ value: T, timeout: Duration) async throws -> Bool {
            try await queue.putAsynchronously(value, until: Deadline(after: timeout))
        }

        /// As ``SharedQueue/get()``.
        /// - Throws: what that throws; `CancellationError` when the task was cancelled, and then nothing was got.
        public func get() async throws -> T {
            while true { if let value = try await queue.getAsynchronously(until: .never) { return value } }
        }

        /// As ``SharedQueue/get(timeout:)``.
        /// - Throws: as ``get()``.
        public func get(timeout: Duration) async throws -> T? { try await queue.getAsynchronously(until: Deadline(after: timeout)) }

        /// Gets values until the queue is closed and empty.
        public struct AsyncIterator: AsyncIteratorProtocol {
            let queue: Async

            /// The next value; nil once the queue is closed and empty.
            /// - Throws: what ``SharedQueue/get()`` throws, but for ``QueueClosed``; `CancellationError` when the task was cancelled.
            public mutating func next() async throws -> T? {
                do { return try await queue.get() } catch is QueueClosed { return nil }
            }
        }

        /// An iterator. Several get different values.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(queue: self) }
    }
}
