/// Shared memory could not be had, or does not hold what was looked for.
public struct SharedMemoryError: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// What went wrong, and what to do about it.
    public let description: String

    package init(_ description: String) { self.description = description }
}
