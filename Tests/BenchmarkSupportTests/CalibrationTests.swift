import BenchmarkSupport
import Testing

@Suite struct CalibrationTests {
    @Test func aSampleLastsAboutAsLongAsWanted() {
        #expect(repetitions(lasting: 10_000_000, most: 1_000_000) { Double($0) * 50 } == 200_000)
        #expect(repetitions(lasting: 10_000_000, most: 1_000_000) { Double($0) * 3_000_000 } == 3)
    }

    @Test func whatTakesLongerThanASampleIsDoneOnce() {
        #expect(repetitions(lasting: 1000, most: 100) { Double($0) * 1e9 } == 1)
    }

    @Test func whatTakesNoTimeEndsAtTheMost() {
        #expect(repetitions(lasting: 1e9, most: 5000) { _ in 0 } == 5000)
    }

    /// A first call that is slow, as those of a process are, must not decide.
    @Test func aSlowStartDoesNotShortenTheSample() {
        var calls = 0
        let count = repetitions(lasting: 10_000_000, most: 1_000_000) { count in
            calls += 1
            return calls == 1 ? 900_000 : Double(count) * 100
        }
        #expect(count == 100_000)
    }

    @Test func aFailureEndsIt() {
        struct Broken: Error {}
        #expect(throws: Broken.self) { try repetitions(lasting: 1000, most: 10) { _ in throw Broken() } }
    }
}
