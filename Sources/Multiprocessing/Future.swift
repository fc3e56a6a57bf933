public import BinaryCoding
public import Synchronization
public import SystemLayer
import WorkTransfer
public import WorkerSupervision

/// The result of work that goes on in another process.
///
/// Every future ends exactly once: with a value, with the error that its function threw, or with what kept it from finishing.
public final class Future<Output: Sendable>: TaskCore, @unchecked Sendable {
    // Unchecked: `decode` never changes, and `decoded` is an atomic.
    @usableFromInline let decode: @Sendable (Outcome) throws -> Output
    /// The result, decoded once: decoding runs the user's code, so that no lock is held meanwhile, and the first of two threads that do it leaves theirs. An object by
    /// its address, as a field whose type depends on that of the result would make freeing a future several times as slow.
    @usableFromInline let decoded = Atomic<UInt>(0)

    /// - Parameters:
    ///   - pool: to which it is to be submitted; nil for work that is only the sum of other work.
    ///   - cancelParts: cancels that.
    @usableFromInline
    init(in pool: WorkerPool?, cancelParts: (@Sendable () -> Void)? = nil, decode: @escaping @Sendable (Outcome) throws -> Output) {
        self.decode = decode
        super.init(in: pool, cancelParts: cancelParts)
    }

    deinit {
        if let known = UnsafeRawPointer(bitPattern: decoded.load(ordering: .acquiring)) { Unmanaged<AnyObject>.fromOpaque(known).release() }
    }

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
    public func cancel() -> Bool { giveUp() }

    /// Whether it has ended, in whatever way.
    public var isDone: Bool { hasEnded }
    /// Whether a worker is on it.
    public var isRunning: Bool { isWithWorker }
    /// Whether it has ended by being cancelled.
    public var isCancelled: Bool {
        if case .failure(let error)? = outcome { error is CancellationError } else { false }
    }

    /// Has `body` called with the result, once, also when it is there already.
    ///
    /// The callbacks of a process run one after the other on a thread of their own. They may submit work and wait for it: what completes futures never waits
    /// for them.
    public func whenDone(_ body: @escaping @Sendable (Result<Output, any Error>) -> Void) {
        whenComplete { outcome in
            CallbackThread.shared.perform { body(self.decodedResult(outcome)) }
        }
    }

    var result: Result<Output, any Error> {
        get async { decodedResult(await comingOutcome) }
    }

    /// The outcome, once there is one.
    var comingOutcome: Outcome {
        get async {
            if let outcome { return outcome }
            return await withCheckedContinuation { continuation in
                whenComplete { continuation.resume(returning: $0) }
            }
        }
    }

    /// - Parameter timeout: what `deadline` was made of, for the message.
    @inlinable
    func waitForResult(until deadline: Deadline, _ timeout: Duration?) -> Result<Output, any Error> {
        guard let outcome = wait(until: deadline) else {
            return .failure(lateResult(timeout))
        }
        return decodedResult(outcome)
    }

    /// Decodes at the first call, and gives the same value at every other.
    @inlinable
    func decodedResult(_ outcome: Outcome) -> Result<Output, any Error> {
        // Each time anew where nobody can tell: keeping it would cost more.
        if Self.isPlain, case .small = outcome { return Result { try decode(outcome) } }
        return keptResult(outcome)
    }

    /// Of types that a compiler compares when it knows this future's.
    @inlinable static var isPlain: Bool {
        if Output.self == Int.self || Output.self == Double.self || Output.self == Void.self || Output.self == Bool.self { return true }
        return Output.self == Float.self || Output.self == UInt64.self || Output.self == Int32.self || Output.self == UInt8.self
    }

    @usableFromInline
    func keptResult(_ outcome: Outcome) -> Result<Output, any Error> {
        func result(at address: UInt) -> Result<Output, any Error>? {
            UnsafeRawPointer(bitPattern: address).map { Unmanaged<DecodedResult<Output>>.fromOpaque($0).takeUnretainedValue().result }
        }
        if let known = result(at: decoded.load(ordering: .acquiring)) { return known }
        let new = DecodedResult(Result { try decode(outcome) })
        let reference = Unmanaged.passRetained(new)
        let (exchanged, original) = decoded.compareExchange(
            expected: 0, desired: UInt(bitPattern: reference.toOpaque()), ordering: .acquiringAndReleasing)
        if exchanged { return new.result }
        // Another thread has decoded it too.
        reference.release()
        return result(at: original) ?? new.result
    }
}

/// What a future's result was decoded to.
private final class DecodedResult<Output: Sendable>: Sendable {
    let result: Result<Output, any Error>
    init(_ result: Result<Output, any Error>) { self.result = result }
}

/// What who waits in vain is told.
@usableFromInline
func lateResult(_ timeout: Duration?) -> TaskTimeout {
    TaskTimeout("There was no result within \(timeout ?? .zero). The work goes on: wait again, or cancel() it.")
}

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
