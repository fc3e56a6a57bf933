/// A text for HTML or SVG, between tags or in a quoted attribute. What XML forbids altogether becomes a question mark.
func escaped(_ text: String) -> String {
    text.unicodeScalars.reduce(into: "") { result, scalar in
        switch scalar {
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "&": result += "&amp;"
        case "\"": result += "&quot;"
        case "\u{0}"..."\u{8}", "\u{B}", "\u{C}", "\u{E}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": result += "?"
        default: result.unicodeScalars.append(scalar)
        }
    }
}

/// A place in a drawing.
func place(_ value: Double) -> String { fixed(value, decimals: 1) }

/// A text in a drawing. Its colour and size are the class's, so that the page's style decides.
func svgText(_ text: String, x: Double, y: Double, anchor: String = "start", style: String = "") -> String {
    "<text x=\"\(place(x))\" y=\"\(place(y))\" text-anchor=\"\(anchor)\" class=\"\(style)\">\(escaped(text))</text>"
}

func svgLine(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, style: String) -> String {
    "<line x1=\"\(place(x1))\" y1=\"\(place(y1))\" x2=\"\(place(x2))\" y2=\"\(place(y2))\" class=\"\(style)\"/>"
}
