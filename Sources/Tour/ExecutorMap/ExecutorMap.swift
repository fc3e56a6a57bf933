// The tutorial's fourth listing: an executor maps a function over numbers; results come in the order of the input.

import CMultiprocessing
import Multiprocessing

/// Counts up to `limit`, one by one, and says how long that took.
@inline(never)
func count(to limit: Int) -> Int {
    let start = ContinuousClock.now
    var counter = 0
    while counter < limit {
        counter = mp_opaque(counter + 1)  // or the optimiser folds the loop into its result
    }
    print("Finished counting to \(limit) in \((ContinuousClock.now - start) / .seconds(1))")
    return counter
}

@main
struct ExecutorMap {
    static func main() async throws {
        try await withProcessPoolExecutor { executor in
            let numbers = [1, 3, 5, 22, 100_000_000]
            for try await result in executor.map(numbers, count) {
                print(result)
            }
        }
    }
}
