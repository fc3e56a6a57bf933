/// A ``SharedBarrier`` cannot be passed, because not all of its parties will come.
public struct BrokenBarrier: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// Why a barrier broke.
    public enum Cause: Sendable, Hashable, Codable {
        /// Somebody has called ``SharedBarrier/abort()``.
        case aborted
        /// A party has waited for as long as it wanted to.
        case timedOut
        /// The Swift task of a party was cancelled while it waited.
        case cancelled
        /// A process that had the barrier has died.
        case partyDied(processIdentifier: Int32)
        /// Somebody has called ``SharedBarrier/reset()`` while others waited.
        case reset
    }

    /// Why it broke.
    public let cause: Cause

    /// What happened, and what to do.
    public var description: String {
        switch cause {
        // It is whole again.
        case .reset:
            "A SharedBarrier was reset while this party waited at it. It can be passed again: begin anew with all parties, this one, too."
        case .aborted: Self.broken("abort() was called")
        case .timedOut: Self.broken("a party gave up at its timeout")
        case .cancelled: Self.broken("a party's task was cancelled")
        case .partyDied(let pid): Self.broken("process \(pid), which had it, died")
        }
    }

    private static func broken(_ reason: String) -> String {
        "A SharedBarrier is broken: \(reason). Nobody passes it any more until reset() is called; then all parties have to begin anew."
    }
}
