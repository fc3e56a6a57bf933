/// A drawing of several lines over the same few values of x, which stand at equal distances.
struct LineChart {
    struct Series {
        let name: String
        /// What it is compared with, drawn with dashes.
        let isBaseline: Bool
        let points: [(x: Int, y: Double)]
    }

    let title: String
    let xTitle: String
    let scale: Axis.Scale
    let series: [Series]

    /// How many colours the page's style has: `c0` and so on.
    static let colors = 8

    private static let (width, height, left, right, top, bottom) = (480.0, 300.0, 52.0, 174.0, 30.0, 40.0)

    /// The drawing; every point says what it is when pointed at.
    var svg: String {
        let xs = Set(series.flatMap { $0.points.map(\.x) }).sorted()
        let axis = Axis(scale, holding: series.flatMap { $0.points.map(\.y) })
        let (floor, ceiling) = (Self.height - Self.bottom, Self.top)
        let y = { (value: Double) in axis.position(value).map { floor - $0 * (floor - ceiling) } }
        let step = (Self.width - Self.left - Self.right) / Double(max(xs.count - 1, 1))
        let x = { (value: Int) in Self.left + Double(xs.firstIndex(of: value) ?? 0) * step }
        var parts = [
            """
            <svg viewBox="0 0 \(place(Self.width)) \(place(Self.height))" role="img" aria-label="\(escaped(title))">
            \(svgText(title, x: 4, y: 16, style: "title"))
            """
        ]
        for mark in axis.marks {
            guard let height = y(mark) else { continue }
            parts.append(svgLine(Self.left, height, Self.width - Self.right, height, style: "grid"))
            parts.append(svgText(Axis.label(mark), x: Self.left - 6, y: height + 4, anchor: "end"))
        }
        for value in xs { parts.append(svgText(String(value), x: x(value), y: floor + 16, anchor: "middle")) }
        parts.append(svgText(xTitle, x: (Self.left + Self.width - Self.right) / 2, y: floor + 32, anchor: "middle"))
        for (index, line) in series.enumerated() {
            let style = "c\(index % Self.colors)" + (line.isBaseline ? " baseline" : "")
            let points = line.points.sorted { $0.x < $1.x }.compactMap { point in y(point.y).map { (point, x(point.x), $0) } }
            let path = points.map { "\(place($0.1)),\(place($0.2))" }.joined(separator: " ")
            parts.append("<polyline points=\"\(path)\" class=\"line \(style)\"/>")
            for (point, x, y) in points {
                parts.append(
                    """
                    <circle cx="\(place(x))" cy="\(place(y))" r="3" class="dot \(style)">\
                    <title>\(escaped("\(line.name), \(point.x): \(readable(point.y))"))</title></circle>
                    """)
            }
            let key = Self.top + 8 + Double(index) * 18
            let start = Self.width - Self.right + 12
            parts.append(svgLine(start, key - 4, start + 20, key - 4, style: "line \(style)"))
            parts.append(svgText(line.name, x: start + 26, y: key))
        }
        return parts.joined(separator: "\n") + "\n</svg>"
    }
}
