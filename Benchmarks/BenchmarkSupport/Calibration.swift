/// How often to repeat an operation so that a sample lasts about `target` ns: long enough for the clock and for what a sample costs
/// besides, short enough for many of them. From 1 to `most`.
///
/// Measures a few samples, each longer than the one before, until one lasts a tenth of the target; rethrows what `measure` throws.
/// - Parameter measure: the time, in ns, of so many operations.
package func repetitions(lasting target: Double, most: Int, measure: (Int) throws -> Double) rethrows -> Int {
    var count = 1
    while true {
        let length = max(try measure(count), 1)
        let wanted = Double(count) * target / length
        if length >= target / 10 || count >= most { return Int(min(max(wanted, 1), Double(most))) }
        // No more than tenfold: the first operations of a process are slower than those to come.
        count = min(Int(min(wanted, Double(count) * 10)) + 1, most)
    }
}
