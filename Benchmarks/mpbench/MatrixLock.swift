import CBaselines
import Multiprocessing

/// What is taken in the matrix of `mpbench locks --matrix`: every object of the library that can serve as a lock, and two that need none.
enum MatrixLock: Codable, Sendable {
    case value(SharedValue<Int64>)
    case lock(SharedLock)
    case recursive(SharedRecursiveLock)
    case semaphore(SharedSemaphore)
    case writers(SharedReadWriteLock)
    /// They do not exclude each other: what the sharing of a read lock costs.
    case readers(SharedReadWriteLock)
    /// An increment that needs no lock.
    case atomic(SharedAtomic<Int64>)
    /// A put and a get.
    case queue(SharedQueue<Int64>)

    /// How one is made for so many contenders, and the lock of C's that it is compared with first.
    struct Kind {
        let name: String
        let counterpart: String
        /// Whether what is done inside is done by one at a time; work inside means nothing where it is not.
        var excludes = true
        let make: (_ contenders: Int) throws -> MatrixLock
    }

    /// Every kind there is.
    static var kinds: [Kind] {
        let locks: [(String, LockKind, String)] = [
            ("adaptive", .adaptive, "c.tid-futex"), ("pthreadNormal", .pthreadNormal, "c.pthread-normal"),
            ("pthreadAdaptive", .pthreadAdaptive, "c.pthread-adaptive"), ("pthreadRobust", .pthreadRobust, "c.pthread-robust"),
        ]
        return [Kind(name: "value", counterpart: "c.tid-futex") { _ in .value(try SharedValue(0)) }]
            + locks.map { name, kind, counterpart in
                Kind(name: name, counterpart: counterpart) { _ in .lock(try SharedLock(kind: kind)) }
            } + [
                Kind(name: "recursive", counterpart: "c.tid-futex") { _ in .recursive(try SharedRecursiveLock()) },
                Kind(name: "semaphore", counterpart: "c.tid-futex") { _ in .semaphore(try SharedSemaphore(1)) },
                Kind(name: "writers", counterpart: "c.pthread-rwlock") { _ in .writers(try SharedReadWriteLock()) },
                Kind(name: "readers", counterpart: "c.pthread-rwlock-read", excludes: false) { _ in .readers(try SharedReadWriteLock()) },
                Kind(name: "atomic", counterpart: "c.tid-futex", excludes: false) { _ in .atomic(try SharedAtomic(0)) },
                // As many have put at any time as have got, or more: with a place for each, nobody waits but for the queue's own protocol.
                Kind(name: "queue", counterpart: "c.tid-futex", excludes: false) { .queue(try SharedQueue(capacity: $0)) },
            ]
    }
}

/// What a worker is told.
struct MatrixOrder: Codable, Sendable {
    let lock: MatrixLock
    /// What is incremented under locks that hold nothing themselves, at `counterAt`: away from the array's own lock.
    let counter: SharedArray<Int64>
    let start: UInt64
    let length: UInt64
    let work: LockWork
    let batch: Int
    /// Whether each taking is timed, from the asking to the having. The clock is read under the lock then, which rates are not taken from.
    let timed: Bool

    static let counterAt = 32
}

/// What it answers.
struct MatrixShare: Codable, Sendable {
    let share: LockShare
    /// How many waits fell into each bucket of `cb_wait_bucket`; empty unless they were timed.
    let waits: [UInt64]
}

/// Run in a worker: takes turns at the lock for the time of the bout.
func takeTurns(_ order: MatrixOrder) throws -> MatrixShare {
    try order.counter.withUnsafeMutableBufferPointer { elements in
        // An array of the order's own making has the element.
        let counter = elements.baseAddress.unsafelyUnwrapped + MatrixOrder.counterAt
        return switch order.lock {
        case .value(let shared):
            hold(order) { inside in
                shared.withLock {
                    $0 += 1
                    inside()
                }
            }
        case .lock(let lock):
            try hold(order) { inside in
                try lock.lock()
                counter.pointee += 1
                inside()
                try lock.unlock()
            }
        case .recursive(let lock):
            try hold(order) { inside in
                try lock.lock()
                counter.pointee += 1
                inside()
                try lock.unlock()
            }
        case .semaphore(let semaphore):
            try hold(order) { inside in
                try semaphore.acquire()
                counter.pointee += 1
                inside()
                try semaphore.release()
            }
        case .writers(let lock):
            try hold(order) { inside in
                try lock.withWriteLock {
                    counter.pointee += 1
                    inside()
                }
            }
        case .readers(let lock): try hold(order) { inside in try lock.withReadLock { inside() } }
        case .atomic(let atomic):
            hold(order) { inside in
                atomic.add(1)
                inside()
            }
        case .queue(let queue):
            try hold(order) { inside in
                try queue.put(1)
                _ = try queue.get()
                inside()
            }
        }
    }
}

/// The loop of all of them, compiled for each by itself.
@inline(__always)
private func hold(_ order: MatrixOrder, _ turn: (_ inside: () -> Void) throws -> Void) rethrows -> MatrixShare {
    var waits = [UInt64](repeating: 0, count: order.timed ? Int(CB_WAIT_BUCKETS) : 0)
    let work = order.work
    let end = order.start + order.length
    var operations: UInt64 = 0
    cb_sleep_until(order.start)
    let began = cb_now()
    repeat {
        if order.timed {
            for _ in 0..<order.batch {
                let asked = cb_now()
                var got = asked
                try turn {
                    got = cb_now()
                    cb_spend(work.inside)
                }
                // Not under the lock, where it would make others wait.
                waits[Int(cb_wait_bucket(got - asked))] += 1
                cb_spend(work.outside)
            }
        } else {
            for _ in 0..<order.batch {
                try turn { cb_spend(work.inside) }
                cb_spend(work.outside)
            }
        }
        operations += UInt64(order.batch)
    } while cb_now() < end
    return MatrixShare(share: LockShare(operations: operations, began: began, ended: cb_now()), waits: waits)
}
