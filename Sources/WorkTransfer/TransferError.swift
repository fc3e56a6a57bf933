/// A function, an argument, a result or an error could not travel between processes. Each text names the type and the place, and what to do.
public enum TransferError: Error, Sendable, Hashable, Codable {
    /// The function captures something. Running workers share no memory with this process, so there is nothing it could refer to there.
    case capturesState(String)
    /// A value, or the type of one, has no form that another process could read.
    case cannotEncode(String)
    /// The bytes that arrived do not hold what they should.
    case cannotDecode(String)
}

extension TransferError: CustomStringConvertible {
    /// The text of the case: what could not travel, where, and how to change that.
    public var description: String {
        switch self {
        case .capturesState(let text), .cannotEncode(let text), .cannotDecode(let text): text
        }
    }
}
