/// What the program that runs the baselines of another language says to an order.
package enum Answer: Equatable, Sendable {
    /// What it measured.
    case value(Double)
    /// Why it could not.
    case failure(String)

    /// Reads a line without its line break: `ok` and a number, or `error` and a text. Anything else is a failure that quotes it.
    package init(line: String) {
        let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
        switch (parts.first, parts.last) {
        case ("ok", let text?) where Double(text)?.isFinite == true: self = .value(Double(text) ?? .nan)
        case ("error", let text?) where parts.count == 2: self = .failure(text)
        default: self = .failure("an answer that means nothing: \(line)")
        }
    }
}
