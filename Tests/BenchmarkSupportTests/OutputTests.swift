import BenchmarkSupport
import Testing

@Suite struct OutputTests {
    @Test func aFigureIsOneJSONObjectOnOneLine() throws {
        var measurement = PairedMeasurement(direction: .higherIsBetter)
        measurement.add(3, baseline: 2)
        let figure = try #require(Figure(metric: "lock.alone", unit: "ns", baseline: "c.tid-futex", measurement))
        #expect(
            figure.jsonLine == """
                {"metric": "lock.alone", "value": 3, "unit": "ns", "baseline": "c.tid-futex", "baseline_value": 2, \
                "ratio": 1.5, "ratio_low": 1.5, "ratio_high": 1.5, "confidence": 0, "pairs": 1}
                """)
    }

    @Test func textInJSONIsEscaped() {
        var object = JSONObject()
        object.add("a\"b", "tab\t, back\\slash, 字")
        object.add("none", .infinity)
        #expect(object.text == #"{"a\"b": "tab\u0009, back\\slash, 字", "none": null}"#)
    }

    @Test func columnsOfATableAlign() {
        var table = TextTable(header: ["metric", "value"])
        table.add(["a", "1"])
        table.add(["longer.name"])
        #expect(table.lines == ["metric       value", "------------------", "a                1", "longer.name       "])
    }

    @Test(arguments: [(1234.5, "1235"), (99.96, "100.0"), (2.346, "2.35"), (0.0126, "0.013"), (-1.5, "-1.50"), (0, "0.000")])
    func numbersShowThreeDigitsOrMore(value: Double, text: String) {
        #expect(readable(value) == text)
    }
}
