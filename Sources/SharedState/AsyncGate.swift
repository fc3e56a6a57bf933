import SystemLayer

/// Lets the tasks of this process at one lock one after the other, so that one thread waits for it on their behalf, and not one for each of them.
enum AsyncGate {
    /// Calls `attempt`, which takes the lock if it is free and does everything under it, in one thread, at once and then whenever the lock looks free, until it
    /// returns something; a last time at `deadline`.
    /// - Parameters:
    ///   - offset: the lock's place.
    ///   - wait: blocks until the lock looks free, `deadline` has passed, or what it is given is cancelled, which it throws. Called on a thread of its own, with how many
    ///     attempts there have been.
    ///   - attempt: given what `wait` has returned, which is never lost: nil where nobody has waited.
    /// - Returns: nil at `deadline`.
    /// - Throws: `CancellationError` when the task is cancelled while it waits; what `attempt` throws.
    static func whenFree<R, Waited: Sendable>(
        _ offset: UInt64, until deadline: Deadline, isolation: isolated (any Actor)?,
        wait: @escaping @Sendable (WaitCancellation, Int) throws -> Waited, _ attempt: (Waited?) throws -> R?
    ) async throws -> R? {
        try Task.checkCancellation()
        if let result = try attempt(nil) { return result }
        if deadline.hasPassed { return nil }
        guard try await enter(offset, until: deadline) else { return try attempt(nil) }
        // Once it is done: before, the next would find the lock held, and wait for it by way of a thread. So it has it where no other process is faster.
        defer { leave(offset) }
        var attempts = 1
        var waited: Waited?
        while true {
            let isLast = deadline.hasPassed
            if let result = try attempt(waited) { return result }
            if isLast { return nil }
            attempts += 1
            waited = try await AsyncWait.run { [attempts] in try wait($0, attempts) }
        }
    }

    private enum Outcome { case within, timedOut, cancelled }

    private final class Visitor: @unchecked Sendable {
        // Unchecked: what changes is guarded by `lock`.
        /// Set once it is to wait no more, which may be before it has begun to.
        var outcome: Outcome?
        var continuation: UnsafeContinuation<Outcome, Never>?
    }

    static let lock = HostLock()
    /// By the locks' places: who waits until the gate is free, each with its continuation; nothing where it is free.
    @exclusivity(unchecked) private nonisolated(unsafe) static var visitors: [UInt64: [Visitor]] = [:]

    /// Waits until no other task is within the gate of the lock at `offset`.
    /// - Returns: false at `deadline`; then it is not within.
    /// - Throws: `CancellationError` when the task is cancelled meanwhile; then it is not within either.
    private static func enter(_ offset: UInt64, until deadline: Deadline) async throws -> Bool {
        if enterIfFree(offset) { return true }
        let visitor = Visitor()
        // The thread that waits for the lock does so for another, and knows nothing of this one's deadline.
        let timer = deadline.isNever ? nil : Task { if await sleep(until: deadline) { end(visitor, at: offset, .timedOut) } }
        defer { timer?.cancel() }
        let outcome = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                lock.lock()
                if let outcome = visitor.outcome {
                    lock.unlock()
                    return continuation.resume(returning: outcome)
                }
                guard visitors[offset] != nil else {
                    visitors[offset] = []
                    lock.unlock()
                    return continuation.resume(returning: .within)
                }
                visitor.continuation = continuation
                visitors[offset]?.append(visitor)
                lock.unlock()
            }
        } onCancel: {
            end(visitor, at: offset, .cancelled)
        }
        if outcome == .cancelled { throw CancellationError() }
        return outcome == .within
    }

    private static func enterIfFree(_ offset: UInt64) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        guard visitors[offset] == nil else { return false }
        visitors[offset] = []
        return true
    }

    /// - Returns: false when the calling task is cancelled.
    private static func sleep(until deadline: Deadline) async -> Bool {
        while !deadline.hasPassed {
            // In parts: what the runtime's clock makes of centuries is its own affair.
            do { try await Task.sleep(nanoseconds: UInt64(min(max(deadline.remaining, 0), 3_600_000_000_000))) } catch { return false }
        }
        return true
    }

    /// Has `visitor` wait no more, if it still does; or not begin to.
    private static func end(_ visitor: Visitor, at offset: UInt64, _ outcome: Outcome) {
        lock.lock()
        visitor.outcome = outcome
        let continuation = visitor.continuation
        visitor.continuation = nil
        if continuation != nil, let index = visitors[offset]?.firstIndex(where: { $0 === visitor }) { visitors[offset]?.remove(at: index) }
        lock.unlock()
        continuation?.resume(returning: outcome)
    }

    /// Lets the next in. Does not block.
    private static func leave(_ offset: UInt64) {
        lock.lock()
        let next = visitors[offset]?.first
        let continuation = next?.continuation
        next?.continuation = nil
        if next != nil { visitors[offset]?.removeFirst() } else { visitors[offset] = nil }
        lock.unlock()
        continuation?.resume(returning: .within)
    }

    /// Under the lock.
    static func forgetAfterFork() {
        // Leaked: the parent's tasks, and what they hold on to.
        for visitor in visitors.values.joined() { _ = Unmanaged.passRetained(visitor) }
        visitors = [:]
    }
}
