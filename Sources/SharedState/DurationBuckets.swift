/// Buckets for durations of any size, in which a duration is known to a sixteenth.
///
/// Below 16 a bucket for each number, then 16 for each doubling: the layout of Gil Tene's HdrHistogram (hdrhistogram.org), with four binary digits in place of
/// three decimal ones. To find a bucket takes a count of leading zeros and a shift, so that it can be done while a lock is held.
package enum DurationBuckets {
    private static let digits = 4
    private static let perDoubling = 1 << digits
    /// 2⁴⁰ ns are 18 minutes; as ticks of a processor at 4 GHz, four and a half. What is longer is counted in the last bucket.
    private static let doublings = 40 - digits

    package static let count = (doublings + 1) * perDoubling

    package static func index(of duration: UInt64) -> Int {
        if duration < UInt64(perDoubling) { return Int(duration) }
        let exponent = 63 - duration.leadingZeroBitCount
        // The first digit is always 1: the exponent says as much.
        let rest = Int(truncatingIfNeeded: duration >> UInt64(exponent - digits)) & (perDoubling - 1)
        return min((exponent - digits + 1) * perDoubling + rest, count - 1)
    }

    /// The shortest duration in a bucket; that of `count` is the end of the last.
    package static func lowerBound(_ index: Int) -> UInt64 {
        if index < perDoubling { return UInt64(index) }
        return UInt64(perDoubling + index % perDoubling) << UInt64(index / perDoubling - 1)
    }

    /// The duration that a share of all is not longer than: the middle of its bucket. Nil where nothing was counted.
    package static func quantile(_ share: Double, of counts: some Collection<UInt64>) -> Double? {
        let total = counts.reduce(0.0) { $0 + Double($1) }
        guard total > 0 else { return nil }
        var sum = 0.0
        for (index, count) in counts.enumerated() {
            sum += Double(count)
            if count > 0, sum >= share * total { return middle(index) }
        }
        return nil
    }

    private static func middle(_ index: Int) -> Double { (Double(lowerBound(index)) + Double(lowerBound(index + 1) - 1)) / 2 }
}
