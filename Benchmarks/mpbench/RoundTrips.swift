import BenchmarkSupport
import CBaselines

/// How calls that take less than a turn of the scheduler are timed.
///
/// A sample is the median over many batches of calls, on every side. The two processes of a round trip need two processors at the same time,
/// and on a shared machine the scheduler takes one away now and then, for longer than thousands of calls last: a mean would show that alone, and
/// so would the median over batches that last as long as its turns do.
enum RoundTrips {
    /// Odd, so that one of them is in the middle.
    static let batches = 61

    /// The time of `calls` calls, one after the other, in ns: of the middle batch.
    static func length(calls: Int, _ call: () throws -> Void) rethrows -> Double {
        // The first calls find the worker asleep, or cold.
        for _ in 0..<20 { try call() }
        var lengths: [Double] = []
        for _ in 0..<batches {
            let began = cb_now()
            for _ in 0..<calls { try call() }
            lengths.append(Double(cb_now() - began))
        }
        return median(of: lengths)
    }
}
