/// Which way a quantity gets better.
package enum Direction: Sendable {
    /// Rates: operations a second.
    case higherIsBetter
    /// Times: nanoseconds an operation.
    case lowerIsBetter

    /// How many times better than the baseline: above 1 is always better, whichever way the quantity runs.
    package func ratio(_ value: Double, to baseline: Double) -> Double {
        switch self {
        case .higherIsBetter: value / baseline
        case .lowerIsBetter: baseline / value
        }
    }
}

/// A quantity and its baseline, measured in turn.
///
/// The load of a shared machine comes and goes, and moves timings by a factor of three. A pair is measured back to back, so that both halves
/// see the same machine; the ratio is taken within each pair, and the median over the pairs.
package struct PairedMeasurement: Sendable {
    /// The subject's values, one a pair.
    package private(set) var values: [Double] = []
    /// The baseline's values, in the same order.
    package private(set) var baselineValues: [Double] = []
    /// Which way both get better.
    package let direction: Direction

    package init(direction: Direction) {
        self.direction = direction
    }

    /// Adds a pair.
    package mutating func add(_ value: Double, baseline: Double) {
        values.append(value)
        baselineValues.append(baseline)
    }

    /// Measures `pairs` pairs after one that is thrown away, in which caches fill and pages are touched. Rethrows what either side throws.
    ///
    /// Who goes first changes with every pair: a machine that slows down steadily favours neither.
    package static func interleaved(
        pairs: Int, direction: Direction, subject: () throws -> Double, baseline: () throws -> Double
    ) rethrows -> PairedMeasurement {
        var measurement = PairedMeasurement(direction: direction)
        for pair in 0...pairs {
            let value: Double
            let baselineValue: Double
            if pair.isMultiple(of: 2) {
                value = try subject()
                baselineValue = try baseline()
            } else {
                baselineValue = try baseline()
                value = try subject()
            }
            if pair > 0 { measurement.add(value, baseline: baselineValue) }
        }
        return measurement
    }

    /// The ratio of each pair.
    package var ratios: [Double] {
        zip(values, baselineValues).map { direction.ratio($0, to: $1) }
    }
}
