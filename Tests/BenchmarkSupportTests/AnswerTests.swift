import BenchmarkSupport
import Testing

@Suite struct AnswerTests {
    @Test func aNumberIsWhatWasMeasured() {
        #expect(Answer(line: "ok 87453306") == .value(87_453_306))
    }

    @Test func anErrorSaysWhy() {
        #expect(Answer(line: "error KeyError: 'foo'") == .failure("KeyError: 'foo'"))
    }

    @Test(arguments: ["", "ok", "ok much", "ok nan", "error", "Traceback (most recent call last):"])
    func anythingElseIsNoMeasurement(line: String) {
        #expect(Answer(line: line) == .failure("an answer that means nothing: \(line)"))
    }
}
