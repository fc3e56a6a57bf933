import Dispatch
import Foundation

/// Runs `body` on a thread of its own and returns what it returns: affinity, memory policy and niceness belong to a thread, and
/// what a test sets must not stick to the ones that run other tests.
func onOwnThread<T: Sendable>(_ body: @escaping @Sendable () throws -> T) throws -> T {
    let box = Box<T>()
    let done = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
        box.result = Result { try body() }
        done.signal()
    }
    done.wait()
    guard let result = box.result else { throw CancellationError() }
    return try result.get()
}

private final class Box<T>: @unchecked Sendable {
    // Written before the signal, read after it.
    var result: Result<T, any Error>?
}
