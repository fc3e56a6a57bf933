import BenchmarkSupport

/// What a metric is compared with: a name, and how one sample of it is taken, in the metric's unit.
struct Baseline {
    let name: String
    let sample: () throws -> Double
}

extension Session {
    /// Measures a metric in turn with each of its baselines. One that cannot be measured here, as Python's may be, is left out, and says why.
    /// - Parameter subject: takes one sample of the library, and leaves nothing running.
    func compare(
        _ metric: String, unit: String, _ direction: Direction, with baselines: [Baseline], subject: () throws -> Double
    ) throws -> [Figure] {
        try baselines.compactMap { baseline in
            do {
                let measurement = try PairedMeasurement.interleaved(
                    pairs: pairs, direction: direction, subject: subject, baseline: baseline.sample)
                return Figure(metric: metric, unit: unit, baseline: baseline.name, measurement)
            } catch let failure as PythonFailure {
                print("\(metric): \(baseline.name) is left out: \(failure)")
                return nil
            }
        }
    }
}
