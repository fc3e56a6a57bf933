/// One line of the benchmark's output: a metric, its baseline, and how many times better than it.
package struct Figure: Sendable {
    /// What was measured, such as `lock.alone`.
    package let metric: String
    /// The unit of both values, such as `ns`.
    package let unit: String
    /// What it was compared with, such as `c.tid-futex`.
    package let baseline: String
    /// The median of the subject's values.
    package let value: Double
    /// The median of the baseline's values.
    package let baselineValue: Double
    /// The median ratio over the pairs, which need not be the ratio of the two medians. Above 1 is better than the baseline.
    package let ratio: MedianInterval
    /// How many pairs there were.
    package let pairs: Int

    /// The figure of a measurement; nil when it holds no pair.
    package init?(metric: String, unit: String, baseline: String, _ measurement: PairedMeasurement) {
        guard let value = MedianInterval(of: measurement.values),
            let baselineValue = MedianInterval(of: measurement.baselineValues),
            let ratio = MedianInterval(of: measurement.ratios)
        else { return nil }
        self.metric = metric
        self.unit = unit
        self.baseline = baseline
        self.value = value.median
        self.baselineValue = baselineValue.median
        self.ratio = ratio
        pairs = measurement.values.count
    }

    /// The figure as one JSON object on one line, without the line break.
    package var jsonLine: String {
        var object = JSONObject()
        object.add("metric", metric)
        object.add("value", value)
        object.add("unit", unit)
        object.add("baseline", baseline)
        object.add("baseline_value", baselineValue)
        object.add("ratio", ratio.median)
        object.add("ratio_low", ratio.low)
        object.add("ratio_high", ratio.high)
        object.add("confidence", ratio.coverage)
        object.add("pairs", Double(pairs))
        return object.text
    }
}
