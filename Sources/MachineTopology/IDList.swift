/// The kernel's way to write a set of processors or nodes: `0-3,8,10-11`.
enum IDList {
    /// A list read from a damaged or hostile file must not make a process run out of memory.
    static let highestID = 1 << 20

    /// The ids in `text`, ascending and each once; empty for an empty text; nil if it is not such a list.
    static func parse(_ text: some StringProtocol) -> [Int]? {
        let text = trimmed(text)
        if text.isEmpty { return [] }
        var ids: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard let first = ends.first.flatMap({ Int($0) }), let last = ends.last.flatMap({ Int($0) }), ends.count <= 2,
                0 <= first, first <= last, last <= highestID
            else { return nil }
            ids.append(contentsOf: first...last)
        }
        return ids.sortedOnce()
    }

    /// The shortest such list of `ids`, for messages.
    static func text(_ ids: [Int]) -> String {
        var ranges: [ClosedRange<Int>] = []
        for id in ids.sortedOnce() {
            if let last = ranges.last, last.upperBound + 1 == id {
                ranges[ranges.count - 1] = last.lowerBound...id
            } else {
                ranges.append(id...id)
            }
        }
        return ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
    }
}

extension Array<Int> {
    /// Ascending, without repetitions.
    func sortedOnce() -> [Int] {
        var result: [Int] = []
        result.reserveCapacity(count)
        for id in sorted() where id != result.last { result.append(id) }
        return result
    }
}

/// `text` without the white space at its ends, of which every file in /sys has one: its line's end.
func trimmed<Text: StringProtocol>(_ text: Text) -> Text.SubSequence {
    guard let first = text.firstIndex(where: { !$0.isWhitespace }), let last = text.lastIndex(where: { !$0.isWhitespace }) else {
        return text[text.endIndex...]
    }
    return text[first...last]
}
