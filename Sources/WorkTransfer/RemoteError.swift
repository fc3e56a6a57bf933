/// Stands in for an error thrown in another process that could not travel as itself, because its type is not `Codable`.
///
/// To catch the original error, make its type conform to `Codable`.
public struct RemoteError: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// The full name of the original error's type, its module included.
    public let typeName: String
    /// The text of the original error, as printing it would have shown it there.
    public let description: String

    package init(typeName: String, description: String) {
        self.typeName = typeName
        self.description = description
    }
}
