import BenchmarkSupport
import Testing

@Suite struct ListArgumentsTests {
    @Test func workersAreWholeNumbersFromOne() {
        #expect(WorkerCounts("1,2")?.counts == [1, 2])
        #expect(WorkerCounts("4")?.counts == [4])
        #expect(WorkerCounts("0,1") == nil)
        #expect(WorkerCounts("1,") == nil)
        #expect(WorkerCounts("two") == nil)
        #expect(WorkerCounts("") == nil)
    }

    @Test func pinningIsAStrategyOrProcessors() {
        #expect(PinChoice("compact") == .compact)
        #expect(PinChoice("spread") == .spread)
        #expect(PinChoice("none") == PinChoice.none)
        #expect(PinChoice("0,1") == .processors([0, 1]))
        #expect(PinChoice("0,-1") == nil)
        #expect(PinChoice("dense") == nil)
    }
}
