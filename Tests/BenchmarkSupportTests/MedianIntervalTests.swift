import BenchmarkSupport
import Testing

@Suite struct MedianIntervalTests {
    /// Ranks and coverages worked out with exact integers: 1 - 2 * sum(C(n, i), i < k) / 2^n.
    @Test(arguments: [
        (6, 1, 0.96875), (7, 1, 0.984375), (11, 2, 0.98828125), (15, 4, 0.96484375), (21, 6, 0.9733963012695312),
        (31, 10, 0.9705506265163422), (41, 14, 0.9724668441704125), (61, 23, 0.9603829851015003),
    ])
    func ranksFollowTheBinomialDistribution(count: Int, index: Int, coverage: Double) {
        let rank = MedianInterval.rank(count: count, confidence: 0.95)
        #expect(rank.index == index)
        #expect(abs(rank.coverage - coverage) < 1e-12)
    }

    @Test func intervalOfThirtyOneValuesRunsFromTheTenthToTheTwentySecond() throws {
        let interval = try #require(MedianInterval(of: (1...31).map(Double.init).shuffled()))
        #expect(interval.median == 16)
        #expect(interval.low == 10)
        #expect(interval.high == 22)
    }

    @Test func tooFewValuesSpanAllOfThemAndSaySo() throws {
        let interval = try #require(MedianInterval(of: [3, 1, 2]))
        #expect(interval.low == 1)
        #expect(interval.high == 3)
        #expect(interval.coverage == 0.75)
    }

    @Test func oneValueIsItsOwnMedianWithoutConfidence() throws {
        let interval = try #require(MedianInterval(of: [5]))
        #expect(interval.median == 5)
        #expect(interval.coverage == 0)
    }

    @Test func anEvenCountTakesTheMiddleOfTheMiddle() throws {
        #expect(try #require(MedianInterval(of: [4, 1, 2, 3])).median == 2.5)
    }

    @Test func noValuesHaveNoMedian() {
        #expect(MedianInterval(of: []) == nil)
        #expect(median(of: []).isNaN)
    }

    /// The promise itself: of intervals drawn from a skewed distribution, the stated share holds the true median.
    @Test func intervalsHoldTheTrueMedianAsOftenAsTheySay() throws {
        var generator = SplitMix(state: 42)
        var held = 0
        let rounds = 4000
        for _ in 0..<rounds {
            // The square of a uniform number: its median is a quarter.
            let values = (0..<31).map { _ in
                let uniform = Double.random(in: 0..<1, using: &generator)
                return uniform * uniform
            }
            let interval = try #require(MedianInterval(of: values))
            if interval.low <= 0.25, interval.high >= 0.25 { held += 1 }
        }
        // 97.06 % are promised; 4 standard deviations of a sample of 4000 are 1.07 %.
        #expect(abs(Double(held) / Double(rounds) - 0.9706) < 0.0107)
    }
}

/// A small generator with a seed, so that a test draws the same numbers every time.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
