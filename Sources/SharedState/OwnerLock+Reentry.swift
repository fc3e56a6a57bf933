import Synchronization

/// A thread that takes a lock which it holds would wait for itself for ever. Who asks does so after the first attempt has failed, so that it costs nothing where
/// the lock is free; and before the first wait.
extension OwnerLock {
    /// Whether the calling thread, whose token this is, and which has entered the lock in its list in order to take it, holds it already.
    func isOwned(by token: UInt32) -> Bool { word.pointee.load(ordering: .relaxed) == token }

    /// Ends the process, for locks whose functions throw no errors of their own; as Swift ends one that changes a variable while it is being changed.
    // Not by `preconditionFailure`: that is silent in optimised programs.
    static func endReentry() -> Never {
        fatalError(
            """
            A thread within withLock of a SharedValue or a SharedArray takes the same lock once more, and would wait for itself for ever. Within \
            withLock, use what the closure is given, and neither withLock, nor an assignment to `value` or to an element.
            """)
    }
}
