/// What a metric of the lock matrix is about, as its name says: `lock.matrix.adaptive.short.near.2.throughput`.
struct MatrixPoint {
    let lock: String
    let section: String
    let place: String
    let contenders: Int
    let quantity: String

    /// Nil for the name of another metric.
    init?(metric: String) {
        // The last part, as in p99.9, may hold dots itself.
        let parts = metric.split(separator: ".", maxSplits: 6).map(String.init)
        guard parts.count == 7, parts[0] == "lock", parts[1] == "matrix", let contenders = Int(parts[5]) else { return nil }
        (lock, section, place, self.contenders, quantity) = (parts[2], parts[3], parts[4], contenders, parts[6])
    }
}

/// The plots of the matrix, for each section and place: over the number of contenders, for a few related locks at a time, beside what is nearest to them.
struct MatrixCharts {
    private struct Family {
        let title: String
        let locks: [String]
        let baselines: [String]
    }

    // All in one drawing would be a knot.
    private static let families = [
        Family(
            title: "The library's own locks", locks: ["value", "adaptive", "recursive", "semaphore"],
            baselines: ["c.tid-futex", "python.Lock", "python.Value.get_lock"]),
        Family(
            title: "pthread mutexes", locks: ["pthreadNormal", "pthreadAdaptive", "pthreadRobust"],
            baselines: ["c.pthread-normal", "c.pthread-adaptive", "c.pthread-robust", "python.Lock"]),
        Family(
            title: "Read-write locks", locks: ["writers", "readers", "mixed"],
            baselines: ["c.pthread-rwlock", "c.pthread-rwlock-read", "c.pthread-rwlock-mixed"]),
        Family(title: "Without exclusion", locks: ["atomic", "queue"], baselines: ["c.tid-futex", "c.pthread-normal"]),
    ]
    private static let quantities: [(name: String, title: String, scale: Axis.Scale)] = [
        ("throughput", "millions of turns a second", .logarithmic), ("p99.9", "p99.9 wait, ns", .logarithmic),
        ("fairness", "slowest over equal share", .linear),
    ]

    private let figures: [(point: MatrixPoint, figure: Figure)]

    /// Of those of the figures that are of the matrix.
    init(_ figures: [Figure]) {
        self.figures = figures.compactMap { figure in MatrixPoint(metric: figure.metric).map { ($0, figure) } }
    }

    var isEmpty: Bool { figures.isEmpty }

    /// Headings and drawings.
    var html: String {
        var cells: [(section: String, place: String)] = []
        for (point, _) in figures where !cells.contains(where: { $0 == (point.section, point.place) }) {
            cells.append((point.section, point.place))
        }
        return cells.map { cell in
            let charts = Self.families.flatMap { family in
                Self.quantities.compactMap { quantity -> String? in
                    let series = lines(family, quantity.name, cell)
                    guard series.contains(where: { !$0.isBaseline }) else { return nil }
                    return LineChart(
                        title: "\(family.title): \(quantity.title)", xTitle: "contenders", scale: quantity.scale, series: series
                    ).svg
                }
            }
            return """
                <h3>\(escaped(cell.section)) sections, \(escaped(cell.place))</h3>
                <div class="charts">
                \(charts.joined(separator: "\n"))
                </div>
                """
        }.joined(separator: "\n")
    }

    private func lines(_ family: Family, _ quantity: String, _ cell: (section: String, place: String)) -> [LineChart.Series] {
        let here = figures.filter { $0.point.section == cell.section && $0.point.place == cell.place && $0.point.quantity == quantity }
        let locks = family.locks.map { name in
            LineChart.Series(
                name: name, isBaseline: false,
                points: distinct(here.filter { $0.point.lock == name }.map { ($0.point.contenders, $0.figure.value) }))
        }
        // A baseline was measured once in a cell, and is in the figures of each lock that it was compared with.
        let baselines = family.baselines.map { name in
            LineChart.Series(
                name: name, isBaseline: true,
                points: distinct(here.filter { $0.figure.baseline == name }.map { ($0.point.contenders, $0.figure.baselineValue) }))
        }
        return (locks + baselines).filter { !$0.points.isEmpty }
    }

    private func distinct(_ points: [(x: Int, y: Double)]) -> [(x: Int, y: Double)] {
        Dictionary(points, uniquingKeysWith: { first, _ in first }).map { ($0.key, $0.value) }
    }
}
