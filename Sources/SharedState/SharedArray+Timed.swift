import SystemLayer

/// Under the lock, if it is to be had in time.
extension SharedArray {
    /// As ``withLock(_:)``, if the lock is to be had within `timeout`.
    /// - Returns: what `body` returns; nil when the lock was not to be had, and `body` was not called.
    public func withLock<R>(timeout: Duration, _ body: (inout MutableSpan<T>) throws -> R) rethrows -> R? {
        try withLock(timeout: timeout, repair: { _ in }, body)
    }

    /// As ``withLock(repair:_:)``, if the lock is to be had within `timeout`.
    /// - Returns: what `body` returns; nil when the lock was not to be had, and neither was called.
    public func withLock<R>(
        timeout: Duration, repair: (inout MutableSpan<T>) throws -> Void, _ body: (inout MutableSpan<T>) throws -> R
    ) rethrows -> R? {
        let attempt = lockWord.lock(until: Deadline(after: timeout), in: arena)
        if attempt == .notTaken { return nil }
        return try changing(after: attempt, repair: repair, body)
    }

    /// What is done under the lock, which has been taken, and its release.
    // A function of its own, as the optimiser of Swift 6.3 breaks off at the span in the closure.
    func changing<R>(
        after attempt: ProcessSharedMutex.Attempt, repair: (inout MutableSpan<T>) throws -> Void, _ body: (inout MutableSpan<T>) throws -> R
    ) rethrows -> R {
        var isUnrepaired = attempt == .takenFromDead
        defer { unlock(unrepaired: isUnrepaired) }
        var span = elements.mutableSpan
        if isUnrepaired { try repair(&span) }
        isUnrepaired = false
        return try body(&span)
    }
}
