/// A median with a confidence interval that assumes nothing about how the values are distributed.
///
/// The interval reaches from one order statistic to another: with n independent values, the k-th smallest is above the true median only if
/// fewer than k values fell below it, which has a binomial probability with p = 1/2. k is the largest for which both tails together stay
/// within 1 - `confidence`; the interval is then [k-th smallest, k-th largest]. This is the interval that belongs to the sign test, as in
/// W. J. Conover, *Practical Nonparametric Statistics*, 3rd ed. (1999), section 3.2, and G. J. Hahn and W. Q. Meeker, *Statistical
/// Intervals* (1991), section 5.2. It is exact, so it also holds for the skewed values that timings on a shared machine are; a bootstrap
/// is neither exact nor better with 31 values.
package struct MedianInterval: Equatable, Sendable {
    /// The middle value, or the mean of the two middle ones.
    package let median: Double
    /// The lower end of the interval.
    package let low: Double
    /// The upper end of the interval.
    package let high: Double
    /// How often an interval made in this way contains the true median. At least what was asked for, since ranks are whole numbers;
    /// less only where there are too few values (5 or fewer for 95 %), and then the interval spans all of them.
    package let coverage: Double

    /// The interval of the values; nil when there are none. O(n log n).
    package init?(of values: [Double], confidence: Double = 0.95) {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        let count = sorted.count
        median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2
        let rank = Self.rank(count: count, confidence: confidence)
        low = sorted[rank.index - 1]
        high = sorted[count - rank.index]
        coverage = rank.coverage
    }

    /// The largest k (from 1) whose interval covers the median with at least `confidence`, and what it really covers. O(n).
    package static func rank(count: Int, confidence: Double) -> (index: Int, coverage: Double) {
        // P(exactly i of n fall below the median), by recurrence; 2^-n is exact for every count that a benchmark can reach.
        var probability = 1.0
        for _ in 0..<count { probability /= 2 }
        var tail = 0.0
        var best = (index: 1, coverage: 1 - 2 * probability)
        for below in 0..<max(count / 2, 1) {
            tail += probability  // P(at most `below` fall below): the k-th smallest with k = below + 1 is too high
            let coverage = 1 - 2 * tail
            if below > 0, coverage < confidence { break }
            best = (below + 1, max(coverage, 0))
            probability *= Double(count - below) / Double(below + 1)
        }
        return best
    }
}

/// The middle value, or the mean of the two middle ones; NaN of none. O(n log n).
package func median(of values: [Double]) -> Double {
    MedianInterval(of: values)?.median ?? .nan
}

/// The middle one of `count` values measured one after the other; rethrows what `measure` throws.
///
/// For events that last about as long as a turn of the scheduler or less: on a busy machine a few of them are interrupted for far longer than
/// they take, and a mean shows hardly anything else.
package func medianOf(_ count: Int, _ measure: () throws -> Double) rethrows -> Double {
    median(of: try (0..<count).map { _ in try measure() })
}
