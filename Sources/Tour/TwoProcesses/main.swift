// The tutorial's first listing: two processes count at the same time, each on a processor of its own.

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

let start = ContinuousClock.now
let toOneHundredMillion = Process(count, 100_000_000)
let toTwoHundredMillion = Process(count, 200_000_000)
try toOneHundredMillion.start()
try toTwoHundredMillion.start()
try toOneHundredMillion.join()
try toTwoHundredMillion.join()
print("Completed in \((ContinuousClock.now - start) / .seconds(1))")
