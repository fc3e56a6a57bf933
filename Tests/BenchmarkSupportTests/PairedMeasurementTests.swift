import BenchmarkSupport
import Testing

@Suite struct PairedMeasurementTests {
    @Test func aboveOneIsBetterWhicheverWayTheQuantityRuns() {
        #expect(Direction.higherIsBetter.ratio(200, to: 100) == 2)
        #expect(Direction.lowerIsBetter.ratio(50, to: 100) == 2)
    }

    @Test func pairsAlternateAndTheFirstIsThrownAway() {
        var order: [String] = []
        var turn = 0.0
        let measurement = PairedMeasurement.interleaved(pairs: 2, direction: .higherIsBetter) {
            order.append("subject")
            turn += 1
            return turn
        } baseline: {
            order.append("baseline")
            return 10
        }
        #expect(order == ["subject", "baseline", "baseline", "subject", "subject", "baseline"])
        #expect(measurement.values == [2, 3])
        #expect(measurement.baselineValues == [10, 10])
    }

    /// Load that slows both halves of some pairs must not show in the ratio, though it moves the medians.
    @Test func ratiosAreTakenWithinPairs() throws {
        var measurement = PairedMeasurement(direction: .lowerIsBetter)
        for slowdown in [1.0, 3, 1, 3, 3, 1, 3] { measurement.add(10 * slowdown, baseline: 20 * slowdown) }
        let figure = try #require(Figure(metric: "m", unit: "ns", baseline: "b", measurement))
        #expect(figure.ratio.median == 2)
        #expect(figure.ratio.low == 2)
        #expect(figure.ratio.high == 2)
        #expect(figure.value == 30)
    }

    @Test func aFailureOnEitherSideEndsTheMeasurement() {
        struct Broken: Error {}
        #expect(throws: Broken.self) {
            try PairedMeasurement.interleaved(pairs: 3, direction: .lowerIsBetter) {
                1
            } baseline: {
                throw Broken()
            }
        }
    }
}
