/// A table for a terminal: columns as wide as they need to be, the first one flush left, the others flush right.
package struct TextTable: Sendable {
    private var rows: [[String]]

    package init(header: [String]) {
        rows = [header]
    }

    /// Adds a row; cells that are missing stay empty.
    package mutating func add(_ cells: [String]) {
        rows.append(cells)
    }

    /// The lines of the table, the header underlined.
    package var lines: [String] {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in rows.map { $0.indices.contains(column) ? $0[column].count : 0 }.max() ?? 0 }
        var lines = rows.map { row in
            (0..<columns).map { column in
                let cell = row.indices.contains(column) ? row[column] : ""
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + padding : padding + cell
            }.joined(separator: "  ")
        }
        lines.insert(String(repeating: "-", count: widths.reduce(0, +) + 2 * max(columns - 1, 0)), at: 1)
        return lines
    }
}
