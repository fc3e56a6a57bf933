/// A message could not be sent or received because of how the connection stands.
public enum ConnectionError: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// Nobody has the other end any more: every copy of it was closed, or the processes that had it have ended. Messages that were sent before have been received.
    case endOfStream
    /// This end was closed, by this process.
    case closed

    /// What happened, and what to do.
    public var description: String {
        switch self {
        case .endOfStream:
            "The other end of the connection is closed, or the processes that had it have ended: nothing can be sent, and no more will come."
        case .closed: "This end of the connection has been closed. Use it before close(), or make another pipe()."
        }
    }
}
