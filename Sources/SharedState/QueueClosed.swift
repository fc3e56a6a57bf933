/// A ``SharedQueue`` was closed: nothing more can be put into it; and where getting from it throws this, it is empty, so nothing more will come.
public struct QueueClosed: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// What happened, and what to do.
    public let description: String

    static let toPutters = QueueClosed(
        description:
            "The queue is closed, so nothing more can be put into it. Stop putting, or make another queue; values that are in it can still be got."
    )
    static let toGetters = QueueClosed(
        description: "The queue is closed and empty, so nothing more will come. Whoever gets from it is done.")
}
