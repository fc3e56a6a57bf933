// What the workers hold and do. Python keeps the counter in a global of the worker; here it is one that threads may share.

import Multiprocessing
import Synchronization

/// The counter that `setUp` was given: nil in the host, set in every worker.
private let sharedCounter = Mutex<SharedValue<Int32>?>(nil)

/// Runs once in each worker, before its first task.
func setUp(_ counter: SharedValue<Int32>) {
    sharedCounter.withLock { $0 = counter }
}

/// Adds 1 to the shared counter, under its lock.
func incrementValue() throws {
    guard let counter = sharedCounter.withLock({ $0 }) else { throw CounterMissing() }
    counter.withLock { $0 += 1 }
}

/// The task ran in a worker that no initializer prepared.
struct CounterMissing: Error, Codable {}
