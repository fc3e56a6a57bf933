/// A JSON object whose keys keep the order in which they were added.
///
/// Written out here, as Foundation's encoder would bring Foundation into the image of every worker that the benchmark measures.
package struct JSONObject: Sendable {
    private var members: [String] = []

    package init() {}

    /// Adds a text.
    package mutating func add(_ key: String, _ value: String) {
        members.append("\(Self.quoted(key)): \(Self.quoted(value))")
    }

    /// Adds a number, as an integer where it is one. JSON has no infinity and no NaN: these become null.
    package mutating func add(_ key: String, _ value: Double) {
        let text = value.isFinite ? (Int(exactly: value).map(String.init) ?? String(value)) : "null"
        members.append("\(Self.quoted(key)): \(text)")
    }

    /// Adds a list of objects.
    package mutating func add(_ key: String, _ objects: [JSONObject]) {
        members.append("\(Self.quoted(key)): [" + objects.map(\.text).joined(separator: ", ") + "]")
    }

    /// The object on one line.
    package var text: String {
        "{" + members.joined(separator: ", ") + "}"
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\u{0}"..."\u{1F}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
