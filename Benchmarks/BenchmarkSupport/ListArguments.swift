/// What `--workers` takes: counts of workers such as `1,2`.
package struct WorkerCounts: Equatable, Sendable {
    /// In the order given, none below 1.
    package let counts: [Int]

    /// Nil when the text is not a list of whole numbers from 1.
    package init?(_ text: String) {
        guard let numbers = wholeNumbers(text), numbers.allSatisfy({ $0 >= 1 }) else { return nil }
        counts = numbers
    }
}

/// What `--pin` takes: a strategy by name, or processors such as `0,1`.
package enum PinChoice: Equatable, Sendable {
    /// Wherever the scheduler puts them.
    case none
    /// On neighbouring processors.
    case compact
    /// As far apart as possible.
    case spread
    /// On these processors.
    case processors([Int])

    /// Nil when the text is none of these.
    package init?(_ text: String) {
        switch text {
        case "none": self = .none
        case "compact": self = .compact
        case "spread": self = .spread
        default:
            guard let numbers = wholeNumbers(text) else { return nil }
            self = .processors(numbers)
        }
    }
}

/// The whole numbers, from 0, of a list separated by commas; nil when one is missing or is none.
private func wholeNumbers(_ text: String) -> [Int]? {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { Int($0) }
    return numbers.count == parts.count && numbers.allSatisfy({ $0 >= 0 }) ? numbers : nil
}
