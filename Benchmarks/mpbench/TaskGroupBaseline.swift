import CBaselines
import Glibc

/// Squares the numbers below `count` in tasks of a group, one each, within this process; the time in ns, from adding the first task to
/// having added up the last result. Blocks the calling thread, which runs none of them.
func squareInTaskGroup(tasks count: Int) throws -> Double {
    let (length, sum) = waiting {
        let began = cb_now()
        let sum = await withTaskGroup(of: Int.self) { group in
            for number in 0..<count { group.addTask { square(number) } }
            var sum = 0
            for await result in group { sum &+= result }
            return sum
        }
        return (Double(cb_now() - began), sum)
    }
    try checkSum(sum, tasks: count)
    return length
}

/// What an asynchronous body returns. Blocks the calling thread, which must not be one of Swift's own pool.
private func waiting<T: Sendable>(for body: @escaping @Sendable () async -> T) -> T {
    let box = ResultBox<T>()
    Task.detached {
        box.result = await body()
        sem_post(box.done)
    }
    while sem_wait(box.done) != 0 {}
    guard let result = box.result else { preconditionFailure("posted before it was there") }
    return result
}

/// Written by one thread, then posted, then read by another.
private final class ResultBox<T>: @unchecked Sendable {
    var result: T?
    let done = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(done, 0, 0) }

    deinit {
        sem_destroy(done)
        done.deallocate()
    }
}
