import Testing

@testable import SharedState

/// The arithmetic of histograms.
@Suite struct DurationBucketsTests {
    private static let powers: [UInt64] = (6..<40).map { 1 << $0 }
    private static let durations: [UInt64] = Array(0...70) + powers.flatMap { [$0 - 1, $0, $0 + 1] } + [123_456, 987_654_321]

    @Test(arguments: durations) func aDurationIsInItsBucket(duration: UInt64) {
        let index = DurationBuckets.index(of: duration)
        #expect(DurationBuckets.lowerBound(index) <= duration)
        #expect(duration < DurationBuckets.lowerBound(index + 1))
    }

    @Test func bucketsFollowEachOther() {
        for index in 0..<DurationBuckets.count {
            let (start, end) = (DurationBuckets.lowerBound(index), DurationBuckets.lowerBound(index + 1))
            #expect(DurationBuckets.index(of: start) == index)
            #expect(DurationBuckets.index(of: end - 1) == index)
            #expect(start < 16 || (end - start) * 16 <= start, "to within a sixteenth")
        }
        #expect(DurationBuckets.lowerBound(DurationBuckets.count) == 1 << 40)
    }

    @Test func theLongestAreInTheLast() {
        #expect(DurationBuckets.index(of: 1 << 40) == DurationBuckets.count - 1)
        #expect(DurationBuckets.index(of: .max) == DurationBuckets.count - 1)
    }

    @Test func quantiles() {
        var counts = [UInt64](repeating: 0, count: DurationBuckets.count)
        #expect(DurationBuckets.quantile(0.5, of: counts) == nil)
        for duration in 1...1000 { counts[DurationBuckets.index(of: UInt64(duration))] += 1 }
        for (share, exact) in [(0.001, 1.0), (0.5, 500), (0.99, 990), (0.999, 999), (1, 1000)] {
            let found = DurationBuckets.quantile(share, of: counts) ?? -1
            #expect(abs(found - exact) <= exact / 16 + 0.5, "\(share): \(found)")
        }
    }
}
