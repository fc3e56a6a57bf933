/// The last owner of a lock died while it held it: what the lock protects may be half changed.
///
/// Where ``SharedLock/lock()`` throws it, the caller *holds* the lock: it repairs what is protected, then unlocks. ``SharedLock/withLock(_:)`` throws it with the lock
/// released.
public struct OwnerDied: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// What happened, and what to do.
    public let description: String

    /// - Parameters:
    ///   - lock: which lock it is, or of which kind.
    ///   - advice: how it can be repaired.
    init(
        lock: String,
        advice: String = "Repair that under the lock: with withLock(repair:_:), or after lock() has thrown this, before unlock()."
    ) {
        description = "The last owner of \(lock) died while it held it, so what the lock protects may be half changed. \(advice)"
    }
}
