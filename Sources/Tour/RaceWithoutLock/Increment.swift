// What each of the two racing processes does.

import Glibc
import Multiprocessing

/// Adds 1 to the shared value with a read and a write of its own: each is atomic, the pair is not.
///
/// A process takes far longer to start than to add, so the two would hardly ever meet by chance. Both therefore wait at a start line,
/// and yield the processor between the read and the write: a few times, so that this lasts longer than the one is behind the other at the start.
func incrementValue(_ shared: SharedValue<Int32>, _ ready: SharedValue<Int32>) {
    waitAtStartLine(ready, for: 2)
    let seen = shared.value
    for _ in 1...16 { sched_yield() }
    shared.value = seen + 1
}

/// Returns once `parties` processes have called it.
private func waitAtStartLine(_ ready: SharedValue<Int32>, for parties: Int32) {
    ready.withLock { $0 += 1 }
    while ready.value < parties { sched_yield() }
}
