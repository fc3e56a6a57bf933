/// Names as a terminal gets them. A name is whatever the program has chosen, and another program's memory may hold anything: shown as they are, a line break would
/// end a row of the table, and an escape sequence would do to the terminal what it likes.
extension LockProfile {
    /// The name, with what is no visible character written as in a Swift literal.
    package var printableName: String { Self.printable(name) }

    /// The same in a column: a long name would pad the rows of all others, so that it is cut off behind ``columnWidth`` characters, the last of which says so.
    package var shortName: String { Self.printable(name, atMost: Self.columnWidth) }

    static var columnWidth: Int { 40 }

    /// - Parameter limit: in characters of the result, of which escape sequences are whole or not there.
    static func printable(_ text: String, atMost limit: Int = .max) -> String {
        let pieces = text.map { $0.unicodeScalars.map(escaped).joined() }
        guard pieces.reduce(0, { $0 + $1.count }) > limit else { return pieces.joined() }
        var (result, length) = ("", 0)
        for piece in pieces {
            length += piece.count
            if length >= limit { break }
            result += piece
        }
        return result + "…"
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\n": return "\\n"
        case "\t": return "\\t"
        case "\r": return "\\r"
        // Between letters of some scripts, and within emoji.
        case "\u{200C}", "\u{200D}": return String(scalar)
        default: break
        }
        switch scalar.properties.generalCategory {
        // Among the formats are those that turn the direction of what follows.
        case .control, .format, .lineSeparator, .paragraphSeparator: return "\\u{" + String(scalar.value, radix: 16, uppercase: true) + "}"
        default: return String(scalar)
        }
    }
}

extension LockProfile.CallSite {
    /// ``description`` for a terminal.
    package var printable: String { LockProfile.printable(description) }
}
