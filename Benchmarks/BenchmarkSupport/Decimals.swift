/// A number for a person to read: with so many decimals that three digits or more are seen, and no more than make sense.
package func readable(_ value: Double) -> String {
    guard value.isFinite else { return "-" }
    let magnitude = value.magnitude
    let decimals = magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3
    return fixed(value, decimals: decimals)
}

/// A number with a fixed count of decimals, rounded to the nearest. What `%.nf` gives, without C's variadic functions.
package func fixed(_ value: Double, decimals: Int) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = (value.magnitude * scale).rounded()
    // Beyond 2^63 there are no decimals left to show.
    guard let digits = Int(exactly: scaled) else { return String(value) }
    let sign = value < 0 && digits > 0 ? "-" : ""
    guard decimals > 0 else { return sign + String(digits) }
    let text = String(repeating: "0", count: max(decimals + 1 - String(digits).count, 0)) + String(digits)
    return sign + text.dropLast(decimals) + "." + text.suffix(decimals)
}
