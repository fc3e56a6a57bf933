/// The name of a type for messages: with its module, and without the addresses that stand in for the context of private and local types.
func readableName(of type: Any.Type) -> String {
    withoutAddresses(_typeName(type, qualified: true))
}

/// Removes each `(unknown context at $7f00…).`, which tells a reader nothing.
private func withoutAddresses(_ text: String) -> String {
    let mark = "(unknown context at $"
    var result = ""
    var rest = text[...]
    while let start = firstRange(of: mark, in: rest) {
        result += rest[..<start]
        rest = rest[start...]
        guard let end = rest.firstIndex(of: ")") else { break }
        rest = rest[rest.index(after: end)...]
        if rest.first == "." { rest = rest.dropFirst() }
    }
    return result + rest
}

private func firstRange(of mark: String, in text: Substring) -> Substring.Index? {
    text.indices.first { text[$0...].hasPrefix(mark) }
}
