/// The name of a type for messages: with its module, and without the addresses that stand in for the context of private and local types.
func readableName(of type: Any.Type) -> String {
    withoutAddresses(_typeName(type, qualified: true))
}

/// A demangled symbol name without what only a linker needs: the standard library's module name, and the file hash of private names.
func readableName(ofSymbol demangled: String) -> String {
    var result = ""
    var rest = demangled[...]
    while let character = rest.first {
        let startsWord = result.last.map { !$0.isLetter && !$0.isNumber && $0 != "_" && $0 != "." } ?? true
        if startsWord, rest.hasPrefix("Swift.") {
            rest = rest.dropFirst(6)
        } else if character == "(", let (name, after) = privateName(in: rest) {
            result += name
            rest = after
        } else {
            result.append(character)
            rest = rest.dropFirst()
        }
    }
    return result
}

/// `(name in _0123…)`, of 32 hexadecimal digits, at the beginning of `text`; and what follows it.
private func privateName(in text: Substring) -> (Substring, Substring)? {
    guard let end = text.firstIndex(of: ")"), let mark = text[..<end].firstRange(ofText: " in _"),
        !text[..<mark].dropFirst().contains("(")
    else { return nil }
    let hash = text[mark..<end].dropFirst(5)
    guard hash.count == 32, hash.allSatisfy(\.isHexDigit) else { return nil }
    return (text[..<mark].dropFirst(), text[end...].dropFirst())
}

/// Removes each `(unknown context at $7f00…).`, which tells a reader nothing.
private func withoutAddresses(_ text: String) -> String {
    let mark = "(unknown context at $"
    var result = ""
    var rest = text[...]
    while let start = rest.firstRange(ofText: mark) {
        result += rest[..<start]
        rest = rest[start...]
        guard let end = rest.firstIndex(of: ")") else { break }
        rest = rest[rest.index(after: end)...]
        if rest.first == "." { rest = rest.dropFirst() }
    }
    return result + rest
}

extension Substring {
    /// Where `text` first begins in this. Without Foundation's search.
    func firstRange(ofText text: String) -> Index? {
        indices.first { self[$0...].hasPrefix(text) }
    }
}
