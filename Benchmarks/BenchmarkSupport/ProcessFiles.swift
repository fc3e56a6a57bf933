/// The letter in `/proc/PID/stat` that says what a process is doing: R runs or could, S sleeps, Z has ended. Nil for any other text.
///
/// It comes after the program's name, which stands in brackets and may hold brackets and blanks itself.
package func processState(inStat text: String) -> Character? {
    guard let bracket = text.lastIndex(of: ")") else { return nil }
    return text[text.index(after: bracket)...].first { $0 != " " }
}

/// The proportional share of memory, in KiB, in `/proc/PID/smaps_rollup`: a page that so many processes map counts for one of so many parts.
/// Nil when the text has none.
package func proportionalShare(inRollup text: String) -> Double? {
    for line in text.split(separator: "\n") where line.hasPrefix("Pss:") {
        return line.dropFirst(4).split(separator: " ").first.flatMap { Double($0) }
    }
    return nil
}
