import SystemLayer

/// Under the lock, if it is to be had in time.
extension SharedValue {
    /// As ``withLock(_:)``, if the lock is to be had within `timeout`.
    /// - Returns: what `body` returns; nil when the lock was not to be had, and `body` was not called.
    public func withLock<R>(timeout: Duration, _ body: (inout T) throws -> R) rethrows -> R? {
        // An update is all or nothing, so it does not matter whether the last owner has died.
        if lockWord.lock(until: Deadline(after: timeout), in: arena) == .notTaken { return nil }
        defer { lockWord.unlock() }
        return try changing(body)
    }
}
