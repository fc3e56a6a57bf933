// The tutorial's fifth listing: calls into processes are awaited like any other, and gathered.

import CMultiprocessing
import Multiprocessing

/// Counts up to `limit`, one by one.
@inline(never)
func countdown(from limit: Int) -> Int {
    var counter = 0
    while counter < limit {
        counter = mp_opaque(counter + 1)  // or the optimiser folds the loop into its result
    }
    return counter
}

@main
struct ExecutorAsync {
    static func main() async throws {
        try await withProcessPoolExecutor { executor in
            // What `asyncio.gather` is in Python: all run at once, the results keep the order of the input.
            let results = try await executor.runAll([1, 3, 5, 22, 100_000_000], countdown)
            for result in results {
                print(result)
            }
        }
    }
}
