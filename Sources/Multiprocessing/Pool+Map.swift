import Synchronization
import SystemLayer
import WorkerSupervision

extension Pool {
    /// Calls `function` with each of the inputs in the workers, and waits for all of them. Blocks the calling thread.
    ///
    /// Every input is a task of its own: a worker's death costs one of them. Calls begin in the order of the inputs, but a worker may take several at once when there
    /// are many: calls that wait for each other are to be submitted singly.
    /// - Parameter chunkSize: there for the sake of Python's; 1 or more. Workers take as many at once as is good, whatever it is.
    /// - Returns: the results, in the order of the inputs.
    /// - Throws: the error of the first input, in their order, whose call failed, once all have ended; ``UsageError`` for a `chunkSize` below 1.
    @inlinable
    public func map<A: Codable & Sendable, R: Codable & Sendable>(
        _ inputs: some Sequence<A>, chunkSize: Int? = nil, _ function: @escaping @Sendable (A) throws -> R
    ) throws -> [R] {
        try check(chunkSize: chunkSize)
        return try core.mapAll(inputs, function)
    }

    /// Calls `function` with each of the inputs in the workers, and waits for all of them.
    @inlinable
    public func map<A: Codable & Sendable>(
        _ inputs: some Sequence<A>, chunkSize: Int? = nil, _ function: @escaping @Sendable (A) throws -> Void
    ) throws {
        try check(chunkSize: chunkSize)
        try core.mapAll(inputs, function)
    }

    /// As ``map(_:chunkSize:_:)``, without waiting. Cancelling the future cancels every call.
    public func mapAsync<A: Codable & Sendable, R: Codable & Sendable>(
        _ inputs: some Sequence<A>, chunkSize: Int? = nil, _ function: @escaping @Sendable (A) throws -> R
    ) -> Future<[R]> {
        if let error = chunkSizeError(chunkSize) { return Future(failing: error) }
        let parts = inputs.map { core.call(function, $0, isSupervised: true) }
        return Future(allOf: parts) { try waitForAll($0) }
    }

    /// As ``map(_:chunkSize:_:)``, without waiting.
    public func mapAsync<A: Codable & Sendable>(
        _ inputs: some Sequence<A>, chunkSize: Int? = nil, _ function: @escaping @Sendable (A) throws -> Void
    ) -> Future<Void> {
        if let error = chunkSizeError(chunkSize) { return Future(failing: error) }
        let parts = inputs.map { core.callVoid(function, $0, isSupervised: true) }
        return Future(allOf: parts) { _ = try waitForAll($0) }
    }

    /// Calls `function` with each of the inputs, and gives the results one by one, in the order of the inputs.
    ///
    /// Work starts at once. No more than `buffer` inputs are taken ahead of the results that were taken; leaving early drops what has not started.
    public func imap<A: Codable & Sendable, R: Codable & Sendable>(
        _ inputs: some Sequence<A>, chunkSize: Int? = nil, buffer: Int = defaultBuffer, _ function: @escaping @Sendable (A) throws -> R
    ) -> Results<R> {
        Results(core, inputs, problem: chunkSizeError(chunkSize), buffer: buffer, isOrdered: true, function)
    }

    /// As ``imap(_:chunkSize:buffer:_:)``, with the results in the order in which they are there.
    public func imapUnordered<A: Codable & Sendable, R: Codable & Sendable>(
        _ inputs: some Sequence<A>, chunkSize: Int? = nil, buffer: Int = defaultBuffer, _ function: @escaping @Sendable (A) throws -> R
    ) -> Results<R> {
        Results(core, inputs, problem: chunkSizeError(chunkSize), buffer: buffer, isOrdered: false, function)
    }

    /// How many inputs lazy results take ahead, unless told otherwise.
    public static let defaultBuffer = 1024

    @usableFromInline
    func check(chunkSize: Int?) throws { if let error = chunkSizeError(chunkSize) { throw error } }
}

/// What is wrong with a chunk size, if anything is.
func chunkSizeError(_ chunkSize: Int?) -> UsageError? {
    guard let chunkSize, chunkSize < 1 else { return nil }
    return UsageError("chunkSize is \(chunkSize); it must be 1 or more.")
}

/// Waits for all futures. Returns their values, or throws the first error in their order.
private func waitForAll<R: Sendable>(_ futures: [Future<R>]) throws -> [R] {
    let results = futures.map { $0.waitForResult(until: .never, nil) }
    return try results.map { try $0.get() }
}

extension Future {
    convenience init(failing error: any Error) {
        self.init(in: nil) { outcome in try outcome.decoded { _ in preconditionFailure("a failed future with a payload") } }
        complete(.failure(error))
    }

    /// A future that ends when all of `parts` have, with what `combine` makes of them.
    convenience init<Part>(allOf parts: [Future<Part>], combine: @escaping @Sendable ([Future<Part>]) throws -> Output) {
        // Decoding is left to whoever asks for the value.
        self.init(in: nil, cancelParts: { for part in parts { part.cancel() } }) { outcome in
            if case .failure(let error) = outcome { throw error }
            return try combine(parts)
        }
        let remaining = Countdown(parts.count)
        if parts.isEmpty { complete(.made(())) }
        for part in parts {
            part.whenComplete { _ in if remaining.countDown() { self.complete(.made(())) } }
        }
    }
}

/// Counts what is left of something that several threads do.
private final class Countdown: Sendable {
    private let remaining: Atomic<Int>
    init(_ count: Int) { remaining = Atomic(count) }
    /// Returns whether this was the last.
    func countDown() -> Bool { remaining.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 }
}
