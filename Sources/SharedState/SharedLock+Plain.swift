/// The same without call sites: for protocols that ask for exactly these, for uses as function values, and for measuring what profiles cost.
extension SharedLock {
    /// As ``init(name:kind:profiling:fileID:line:)``.
    @_disfavoredOverload
    public convenience init(name: String?, kind: LockKind, profiling: Bool) throws {
        try self.init(name: name, kind: kind, profiling: profiling, fileID: #fileID, line: #line)
    }

    /// As ``lock(fileID:line:)``.
    @_disfavoredOverload @inlinable
    public func lock() throws { try lock(fileID: #fileID, line: #line) }

    /// As ``tryLock(fileID:line:)``.
    @_disfavoredOverload
    public func tryLock() throws -> Bool { try tryLock(fileID: #fileID, line: #line) }

    /// As ``lock(timeout:fileID:line:)``.
    @_disfavoredOverload
    public func lock(timeout: Duration) throws -> Bool { try lock(timeout: timeout, fileID: #fileID, line: #line) }

    /// As ``withLock(_:fileID:line:)``.
    @_disfavoredOverload @inlinable
    public func withLock<R>(_ body: () throws -> R) throws -> R { try withLock(body, fileID: #fileID, line: #line) }

    /// As ``withLock(repair:_:fileID:line:)``.
    @_disfavoredOverload @inlinable
    public func withLock<R>(repair: () throws -> Void, _ body: () throws -> R) throws -> R {
        try withLock(repair: repair, body, fileID: #fileID, line: #line)
    }

    /// Takes a lock of the default kind in the way of one that cannot have a profile: what a lock without a profile is compared with.
    @inlinable @inline(__always)
    package func lockBare() throws {
        guard let adaptive else { return try lock() }
        if adaptive.lock(in: arena) { throw ownerDied }
    }

    /// Releases it in the same way.
    @inlinable @inline(__always)
    package func unlockBare() throws {
        if let adaptive, adaptive.isHeldByCaller { adaptive.unlock() } else { try unlockPthread() }
    }
}
