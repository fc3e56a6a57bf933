public import BinaryCoding
import Glibc
public import Synchronization
public import SystemLayer
import WorkTransfer
public import WorkerSupervision

/// The result of work that goes on in another process.
///
/// Every future ends exactly once: with a value, with the error that its function threw, or with what kept it from finishing.
public final class Future<Output: Sendable>: Sendable {
    @usableFromInline let core: TaskCore
    @usableFromInline let decode: @Sendable (Outcome) throws -> Output
    /// The result, decoded once: decoding runs the user's code, so that no lock is held meanwhile, and the first of two threads that do it stores theirs. It is
    /// written in the state `storing`, and read in `decoded`.
    @exclusivity(unchecked) @usableFromInline nonisolated(unsafe) var decodedValue: Result<Output, any Error>?
    @usableFromInline let decodedState = Atomic<UInt8>(0)
    @inlinable static var storing: UInt8 { 1 }
    @inlinable static var decoded: UInt8 { 2 }

    @usableFromInline
    init(_ core: TaskCore, decode: @escaping @Sendable (Outcome) throws -> Output) {
        self.core = core
        self.decode = decode
    }

    deinit { core.abandon() }

    /// Waits for the result. Blocks the calling thread.
    /// - Parameter timeout: from now; nil waits for ever.
    /// - Throws: what the function threw; ``WorkerTerminated`` when its worker died; ``TransferError``; `CancellationError`; ``PoolError``;
    ///   ``TaskTimeout`` when `timeout` passes first, and then the work goes on, and may be waited for again.
    @inlinable
    public func get(timeout: Duration? = nil) throws -> Output { try waitForResult(until: Deadline(after: timeout), timeout).get() }

    /// The result, awaited without blocking a thread. Throws as ``get(timeout:)`` does.
    public var value: Output {
        get async throws { try await result.get() }
    }

    /// Gives the work up. Work that waits is dropped; a worker that is on it is killed and replaced. The future ends as cancelled at once.
    /// - Returns: false when it had ended before.
    @discardableResult
    public func cancel() -> Bool { core.cancel() }

    /// Whether it has ended, in whatever way.
    public var isDone: Bool { core.isDone }
    /// Whether a worker is on it.
    public var isRunning: Bool { core.isRunning }
    /// Whether it has ended by being cancelled.
    public var isCancelled: Bool {
        if case .failure(let error)? = core.outcome { error is CancellationError } else { false }
    }

    /// Has `body` called with the result, once, also when it is there already.
    ///
    /// The callbacks of a process run one after the other on a thread of their own. They may submit work and wait for it: what completes futures never waits
    /// for them.
    public func whenDone(_ body: @escaping @Sendable (Result<Output, any Error>) -> Void) {
        core.whenComplete { outcome in
            CallbackThread.shared.perform { body(self.decodedResult(outcome)) }
        }
    }

    var result: Result<Output, any Error> {
        get async { decodedResult(await outcome) }
    }

    /// The outcome, once there is one.
    var outcome: Outcome {
        get async {
            if let outcome = core.outcome { return outcome }
            return await withCheckedContinuation { continuation in
                core.whenComplete { continuation.resume(returning: $0) }
            }
        }
    }

    /// - Parameter timeout: what `deadline` was made of, for the message.
    @inlinable
    func waitForResult(until deadline: Deadline, _ timeout: Duration?) -> Result<Output, any Error> {
        guard let outcome = core.wait(until: deadline) else {
            return .failure(lateResult(timeout))
        }
        return decodedResult(outcome)
    }

    /// Decodes at the first call, and gives the same value at every other.
    @inlinable
    func decodedResult(_ outcome: Outcome) -> Result<Output, any Error> {
        if decodedState.load(ordering: .acquiring) == Self.decoded, let decodedValue { return decodedValue }
        let new = Result { try decode(outcome) }
        guard decodedState.compareExchange(expected: 0, desired: Self.storing, ordering: .acquiring).exchanged else {
            // Another thread has decoded it too, and stores what it has this moment.
            while decodedState.load(ordering: .acquiring) != Self.decoded { yieldProcessor() }
            return decodedValue ?? new
        }
        decodedValue = new
        decodedState.store(Self.decoded, ordering: .releasing)
        return new
    }
}

/// What who waits in vain is told.
@usableFromInline
func lateResult(_ timeout: Duration?) -> TaskTimeout {
    TaskTimeout("There was no result within \(timeout ?? .zero). The work goes on: wait again, or cancel() it.")
}

@usableFromInline
func yieldProcessor() { sched_yield() }

extension Outcome {
    /// What the worker has sent, decoded by `decode`.
    @usableFromInline
    func decoded<R>(_ decode: (inout ByteReader) throws -> R) throws -> R {
        switch self {
        case .value(let payload): return try payload.withReader(decode)
        case .small(let payload): return try payload.withReader(decode)
        case .error(let payload): throw payload.withReader { ErrorTransfer.decode(from: &$0) }
        case .failure(let error): throw error
        case .made(let value):
            guard let value = value as? R else { preconditionFailure("a result of another type than its future's") }
            return value
        }
    }
}
