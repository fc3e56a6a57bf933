import SystemLayer

/// Lets the tasks of this process at one lock one after the other, so that one thread waits for it on their behalf, and not one for each of them.
enum AsyncGate {
    private final class Visitor: @unchecked Sendable {
        // Unchecked: what changes is guarded by `lock`.
        var isCancelled = false
        var continuation: UnsafeContinuation<Void, any Error>?
    }

    private static let lock = HostLock()
    /// By the locks' places: who waits until the gate is free; nothing where it is.
    @exclusivity(unchecked) private nonisolated(unsafe) static var visitors: [UInt64: [Visitor]] = [:]

    /// Waits until no other task is within the gate of the lock at `offset`.
    /// - Throws: `CancellationError` when the task is cancelled meanwhile; then it is not within.
    static func enter(_ offset: UInt64) async throws {
        try Task.checkCancellation()
        let visitor = Visitor()
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
                lock.lock()
                guard !visitor.isCancelled else {
                    lock.unlock()
                    return continuation.resume(throwing: CancellationError())
                }
                guard visitors[offset] != nil else {
                    visitors[offset] = []
                    lock.unlock()
                    return continuation.resume()
                }
                visitor.continuation = continuation
                visitors[offset]?.append(visitor)
                lock.unlock()
            }
        } onCancel: {
            lock.lock()
            visitor.isCancelled = true
            let continuation = visitor.continuation
            visitor.continuation = nil
            lock.unlock()
            continuation?.resume(throwing: CancellationError())
        }
    }

    /// Lets the next in. Does not block.
    static func leave(_ offset: UInt64) {
        lock.lock()
        // Who is there and has no continuation was cancelled.
        let next = visitors[offset]?.firstIndex { $0.continuation != nil }
        var continuation: UnsafeContinuation<Void, any Error>?
        if let next, let visitor = visitors[offset]?[next] {
            continuation = visitor.continuation
            visitor.continuation = nil
            visitors[offset]?.removeSubrange(...next)
        } else {
            visitors[offset] = nil
        }
        lock.unlock()
        continuation?.resume()
    }
}
