/// A drawing of ratios on a logarithmic axis, a line for each: the median, its interval, and the goal where there is one.
struct RatioChart {
    let figures: [Figure]

    private static let (width, row, left, right, top) = (960.0, 20.0, 400.0, 30.0, 34.0)

    var svg: String {
        let goals = figures.compactMap(\.goal)
        let axis = Axis(.logarithmic, holding: figures.flatMap { [$0.ratio.low, $0.ratio.median, $0.ratio.high] } + goals + [1])
        let height = Self.top + Double(figures.count) * Self.row + 8
        let x = { (value: Double) in axis.position(value).map { Self.left + $0 * (Self.width - Self.left - Self.right) } }
        var parts = [
            """
            <svg viewBox="0 0 \(place(Self.width)) \(place(height))" role="img" aria-label="Ratios and goals">
            """
        ]
        for mark in axis.marks {
            guard let x = x(mark) else { continue }
            parts.append(svgLine(x, Self.top - 8, x, height, style: mark == 1 ? "one" : "grid"))
            parts.append(svgText(Axis.label(mark), x: x, y: Self.top - 14, anchor: "middle"))
        }
        for (index, figure) in figures.enumerated() {
            let y = Self.top + (Double(index) + 0.5) * Self.row
            let style = figure.meetsGoal.map { $0 ? "met" : "missed" } ?? "free"
            parts.append(svgText("\(figure.metric) / \(figure.baseline)", x: Self.left - 12, y: y + 4, anchor: "end"))
            guard let median = x(figure.ratio.median) else { continue }
            if let low = x(figure.ratio.low), let high = x(figure.ratio.high) {
                parts.append(svgLine(low, y, high, y, style: "interval \(style)"))
            }
            if let goal = figure.goal.flatMap(x) { parts.append(svgLine(goal, y - 8, goal, y + 8, style: "goal")) }
            parts.append(
                """
                <circle cx="\(place(median))" cy="\(place(y))" r="4" class="dot \(style)"><title>\(escaped(summary(figure)))</title></circle>
                """)
        }
        return parts.joined(separator: "\n") + "\n</svg>"
    }

    private func summary(_ figure: Figure) -> String {
        let interval = "\(readable(figure.ratio.median)) (\(readable(figure.ratio.low)) to \(readable(figure.ratio.high)))"
        return "\(figure.metric) over \(figure.baseline): \(interval)" + (figure.goal.map { ", goal \(readable($0))" } ?? "")
    }
}
