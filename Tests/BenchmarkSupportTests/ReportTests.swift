import Testing

@testable import BenchmarkSupport

@Suite struct ReportTests {
    private static func figure(_ metric: String, _ baseline: String, value: Double, baselineValue: Double, unit: String = "Mop/s") throws
        -> Figure
    {
        var measurement = PairedMeasurement(direction: .higherIsBetter)
        measurement.add(value, baseline: baselineValue)
        return try #require(Figure(metric: metric, unit: unit, baseline: baseline, measurement))
    }

    private static func figures() throws -> [Figure] {
        var figures = [
            try figure("lock.contended", "c.pthread-robust", value: 61.5, baselineValue: 10),
            try figure("dispatch.map", "c.pipes", value: 7, baselineValue: 1),
            try figure("made.up <&\">", "no one's", value: 3, baselineValue: 0),
        ]
        for contenders in 1...4 {
            for (quantity, unit) in [("throughput", "Mop/s"), ("fairness", "share"), ("p99.9", "ns")] {
                for lock in ["adaptive", "pthreadRobust", "queue"] {
                    figures.append(
                        try figure(
                            "lock.matrix.\(lock).short.near.\(contenders).\(quantity)", "c.pthread-normal",
                            value: 123.4 * Double(contenders),
                            baselineValue: contenders == 2 ? 0 : 77, unit: unit))
                }
            }
        }
        return figures
    }

    @Test func everyFigureIsInTheTable() throws {
        let figures = try Self.figures()
        let page = Report(about: ["a machine"], figures: figures, notes: ["a note"]).html
        let rows = page.split(separator: "\n").filter { $0.hasPrefix("<tr") && $0.contains("<td>") }
        #expect(rows.count == figures.count)
        for (figure, row) in zip(figures, rows) {
            for text in [
                figure.metric, figure.baseline, readable(figure.value), readable(figure.baselineValue), readable(figure.ratio.median),
            ] {
                #expect(row.contains("<td>\(escaped(text))</td>"))
            }
        }
        #expect(page.contains("a machine") && page.contains("<li>a note</li>"))
    }

    @Test func goalsAreMetOrMissed() throws {
        let page = Report(about: [], figures: try Self.figures()).html
        #expect(page.contains("<td>4.50 met</td>"))
        #expect(page.contains("<td>8.00 missed</td>"))
        #expect(page.contains("1 of 2 goals are met."))
    }

    @Test func plotsShowWhatCanBeShown() throws {
        let page = Report(about: [], figures: try Self.figures()).html
        // Two ratios with a place on a logarithmic axis: the third is infinite, and only in the table.
        #expect(page.components(of: "class=\"dot met\"") == 1 && page.components(of: "class=\"dot missed\"") == 1)
        #expect(page.components(of: "class=\"dot free\"") == 0)
        // Three families, three quantities; zeros have a place on the axis of shares alone.
        #expect(page.components(of: "<svg ") == 1 + 9)
        #expect(page.contains("<title>adaptive, 3: 370</title>"))
        #expect(page.components(of: "<title>c.pthread-normal, 2: ") == 2, "once for each family that shows it, of shares")
    }

    @Test func thePageIsWellFormedAndLoadsNothing() throws {
        for figures in [try Self.figures(), []] {
            let page = Report(about: ["<script>&"], figures: figures, notes: ["a \u{1} b"]).html
            #expect(firstDefect(in: page) == nil)
            for word in ["http", "src=", "href=", "url(", "@import", "<script", "NaN", "nan", "inf\""] { #expect(!page.contains(word)) }
        }
    }

    /// What is wrong with the XML; nil for none. Elements must nest, attributes be quoted, and what is special be escaped.
    private func firstDefect(in page: String) -> String? {
        var open: [Substring] = []
        var rest = page[...]
        guard rest.hasPrefix("<!DOCTYPE html>") else { return "no document type" }
        rest = rest.dropFirst("<!DOCTYPE html>".count)
        while let start = rest.firstIndex(of: "<") {
            let text = rest[..<start]
            if text.contains(">") && open.last != "style" { return "a bare > in \(text)" }
            if text.split(separator: "&", omittingEmptySubsequences: false).dropFirst().contains(where: {
                $0.wholeMatch(of: /(lt|gt|amp|quot);[^&]*/.dotMatchesNewlines()) == nil
            }) {
                return "a bare & in \(text)"
            }
            guard let match = rest[start...].prefixMatch(of: /<(\/?)([a-zA-Z0-9]+)((?: [a-zA-Z0-9-]+="[^"<]*")*)(\/?)>/) else {
                return "no tag: \(rest[start...].prefix(80))"
            }
            if !match.1.isEmpty {
                guard open.popLast() == match.2 else { return "\(match.2) ends, which is not the last that began" }
            } else if match.4.isEmpty {
                open.append(match.2)
            }
            rest = rest[match.range.upperBound...]
        }
        return open.isEmpty ? nil : "\(open) never end"
    }

    @Test(arguments: [(0.3, 12.0, [0.2, 0.5, 1, 2, 5, 10, 20]), (1, 1, [1, 2, 5, 10]), (3, 90_000, [10, 100, 1000, 10_000, 100_000])])
    func logarithmicAxesBeginAndEndAtMarks(least: Double, most: Double, marks: [Double]) {
        let axis = Axis(.logarithmic, holding: [least, most, .infinity, 0, -1, .nan])
        #expect(zip(axis.marks, marks).allSatisfy { ($0 / $1 - 1).magnitude < 1e-9 } && axis.marks.count == marks.count, "\(axis.marks)")
        #expect(axis.position(0) == nil && axis.position(.infinity) == nil)
        if let place = axis.position(least) { #expect((0...1).contains(place)) }
    }

    @Test func marksAreShort() {
        #expect([0.002, 0.5, 1, 20, 5000, 2e6, 1e9].map(Axis.label) == ["0.002", "0.5", "1", "20", "5k", "2M", "1G"])
    }

    @Test func namesOfTheMatrixAreTakenApart() throws {
        let point = try #require(MatrixPoint(metric: "lock.matrix.adaptive.long.far.16.p99.9"))
        #expect((point.lock, point.section, point.place, point.contenders, point.quantity) == ("adaptive", "long", "far", 16, "p99.9"))
        #expect(MatrixPoint(metric: "lock.contended.adaptive.4") == nil)
    }
}

extension String {
    /// How often a text is in this one.
    fileprivate func components(of text: String) -> Int { ranges(of: text).count }
}
