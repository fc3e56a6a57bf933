/// A worker could not be put where it was asked to be: on these processors, in this memory, at this niceness.
///
/// Its description says what was asked, what there is, and what to do.
public struct PlacementError: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// What was asked, as an infinitive: `to run on processor 9`.
    public let asked: String
    /// What there is instead, as a clause: `this process may use processors 0-1`.
    public let found: String
    /// What to do, as a sentence.
    public let advice: String
    /// The kernel's error number (`errno`), if it was the kernel that refused.
    public let code: Int32?

    init(asked: String, found: String, advice: String, code: Int32? = nil) {
        self.asked = asked
        self.found = found
        self.advice = advice
        self.code = code
    }

    /// The whole story in two sentences.
    public var description: String {
        let reason = code.map { " (errno \($0))" } ?? ""
        return "It was asked \(asked), but \(found)\(reason). \(advice)"
    }
}
