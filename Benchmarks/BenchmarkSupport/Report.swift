/// Figures on a page for a browser: one file that loads nothing, light or dark as the reader has it. It is well-formed XML, too.
package struct Report {
    private let about: [String]
    private let figures: [Figure]
    private let notes: [String]

    /// - Parameter about: when, where and how it was measured.
    package init(about: [String], figures: [Figure], notes: [String] = []) {
        (self.about, self.figures, self.notes) = (about, figures, notes)
    }

    /// The page. O(number of figures).
    package var html: String {
        let charts = MatrixCharts(figures)
        let rows = figures.filter { MatrixPoint(metric: $0.metric) == nil }
        let goals = rows.compactMap(\.meetsGoal)
        var body = ["<h1>mpbench</h1>"] + about.map { "<p class=\"about\">\(escaped($0))</p>" }
        if !goals.isEmpty { body.append("<p>\(goals.count { $0 }) of \(goals.count) goals are met.</p>") }
        if !rows.isEmpty {
            body += [
                "<h2>Ratios and goals</h2>",
                "<p>How many times better than its baseline each is, on a logarithmic axis; the bar is the interval, the tick the goal.</p>",
                RatioChart(figures: rows).svg,
            ]
        }
        if !charts.isEmpty { body += ["<h2>Locks by contenders</h2>", "<p>Dashed: what the library is compared with.</p>", charts.html] }
        body += ["<h2>All figures</h2>", table]
        if !notes.isEmpty { body += ["<h2>Notes</h2>", "<ul>"] + notes.map { "<li>\(escaped($0))</li>" } + ["</ul>"] }
        return """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"/><meta name="viewport" content="width=device-width"/><title>mpbench</title>
            <style>
            \(Self.style)
            </style></head><body>
            \(body.joined(separator: "\n"))
            </body></html>

            """
    }

    private var table: String {
        let header = ["metric", "value", "unit", "baseline", "its value", "ratio", "interval", "of", "pairs", "goal"]
        let rows = figures.map { figure in
            // One pair has no interval.
            let (interval, coverage) =
                figure.ratio.coverage > 0
                ? ("\(readable(figure.ratio.low)) – \(readable(figure.ratio.high))", fixed(figure.ratio.coverage * 100, decimals: 1) + " %")
                : ("-", "-")
            let verdict = figure.goal.map { "\(readable($0)) \(figure.meetsGoal == true ? "met" : "missed")" } ?? ""
            let cells = [
                figure.metric, readable(figure.value), figure.unit, figure.baseline, readable(figure.baselineValue),
                readable(figure.ratio.median), interval, coverage,
                String(figure.pairs),
                verdict,
            ]
            let style = figure.meetsGoal.map { $0 ? " class=\"met\"" : " class=\"missed\"" } ?? ""
            return "<tr\(style)>" + cells.map { "<td>\(escaped($0))</td>" }.joined() + "</tr>"
        }
        return """
            <p>A ratio is the median over pairs measured in turn; above 1 is better than the baseline. A goal is met when the interval contains or exceeds it.</p>
            <div class="wide"><table><thead><tr>\(header.map { "<th>\($0)</th>" }.joined())</tr></thead>
            <tbody>
            \(rows.joined(separator: "\n"))
            </tbody></table></div>
            """
    }

    // Colours that can be told apart without red and green; each again for a dark ground.
    private static let style = """
        :root { color-scheme: light dark; --ground: #fff; --ink: #1b1f24; --faint: #57606a; --grid: #d8dee4; --met: #0a7d4b; --missed: #c2410c; --free: #2563a8;
          --c0: #0067b1; --c1: #c2500b; --c2: #00845c; --c3: #a23f82; --c4: #7a6200; --c5: #2e8fc0; --c6: #5c5c5c; --c7: #7048c0; }
        @media (prefers-color-scheme: dark) {
          :root { --ground: #14171a; --ink: #e4e8ec; --faint: #a0a8b0; --grid: #343a40; --met: #3fcf8e; --missed: #ff8a4c; --free: #6cb2f5;
            --c0: #5cb3f5; --c1: #f58a45; --c2: #39c99a; --c3: #e08cc4; --c4: #d4b83a; --c5: #8ad4f5; --c6: #b0b0b0; --c7: #b09af5; } }
        body { font: 15px/1.45 system-ui, sans-serif; background: var(--ground); color: var(--ink); max-width: 1440px; margin: 2em auto; padding: 0 1em; }
        .about { color: var(--faint); margin: 0.2em 0; }
        .wide { overflow-x: auto; }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
        th, td { padding: 2px 10px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--grid); }
        th:nth-child(1), td:nth-child(1), th:nth-child(4), td:nth-child(4) { text-align: left; }
        tr.met td:last-child { color: var(--met); } tr.missed td:last-child { color: var(--missed); font-weight: bold; }
        svg { width: 100%; max-width: 1100px; height: auto; } svg text { font-size: 11px; fill: var(--ink); } svg .title { font-size: 13px; font-weight: bold; }
        .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(330px, 1fr)); gap: 1em; }
        .grid { stroke: var(--grid); } .one { stroke: var(--faint); } .goal { stroke: var(--ink); stroke-width: 2; }
        .interval { stroke-width: 3; opacity: 0.6; } .line { fill: none; stroke-width: 2; } .baseline.line { stroke-dasharray: 5 4; stroke-width: 1.5; }
        .met { stroke: var(--met); } .missed { stroke: var(--missed); } .free { stroke: var(--free); }
        .dot.met { fill: var(--met); } .dot.missed { fill: var(--missed); } .dot.free { fill: var(--free); } .dot.baseline { fill: var(--ground); }
        \((0..<LineChart.colors).map { ".c\($0) { stroke: var(--c\($0)); } .dot.c\($0):not(.baseline) { fill: var(--c\($0)); }" }.joined(separator: "\n"))
        """
}
