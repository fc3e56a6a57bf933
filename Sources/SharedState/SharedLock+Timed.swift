/// Under the lock, if it is to be had in time.
extension SharedLock {
    /// As ``withLock(_:fileID:line:)``, if the lock is to be had within `timeout`. Who has it then keeps it as long as `body` takes.
    /// - Returns: what `body` returns; nil when the lock was not to be had, and `body` was not called.
    public func withLock<R>(
        timeout: Duration, _ body: () throws -> R, fileID: StaticString = #fileID, line: UInt = #line
    ) throws -> R? {
        do {
            guard try lock(timeout: timeout, fileID: fileID, line: line) else { return nil }
        } catch let death as OwnerDied {
            try refuse(death)
        }
        return try unlocking(body)
    }

    /// As ``withLock(repair:_:fileID:line:)``, if the lock is to be had within `timeout`.
    /// - Returns: what `body` returns; nil when the lock was not to be had, and neither was called.
    public func withLock<R>(
        timeout: Duration, repair: () throws -> Void, _ body: () throws -> R, fileID: StaticString = #fileID, line: UInt = #line
    ) throws -> R? {
        do {
            guard try lock(timeout: timeout, fileID: fileID, line: line) else { return nil }
        } catch is OwnerDied {
            try repairing(repair)
        }
        return try unlocking(body)
    }
}
