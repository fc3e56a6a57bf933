// What each of the two processes does.

import Glibc
import Multiprocessing

/// Adds 1 to the shared value under its lock, with the same start line and the same pause as the listing without a lock: whoever comes
/// second waits until the first has written.
func incrementValue(_ shared: SharedValue<Int32>, _ ready: SharedValue<Int32>) {
    waitAtStartLine(ready, for: 2)
    shared.withLock { value in
        let seen = value
        for _ in 1...16 { sched_yield() }
        value = seen + 1
    }
}

/// Returns once `parties` processes have called it.
private func waitAtStartLine(_ ready: SharedValue<Int32>, for parties: Int32) {
    ready.withLock { $0 += 1 }
    while ready.value < parties { sched_yield() }
}
