import Synchronization
import SystemLayer

/// An answer from the monitor's thread that the asking thread waits for.
final class Reply<Value: Sendable>: @unchecked Sendable {
    // Unchecked: `value` is written before `word` says so, and read after.
    private let word: FutexWord = .makeFutexWord()
    private var value: Result<Value, any Error>?

    /// Answers. Once.
    func send(_ result: Result<Value, any Error>) {
        value = result
        word.pointee.store(1, ordering: .releasing)
        word.wakeAll()
    }

    /// Waits for the answer until `deadline` at most. Returns whether it is there.
    func isThere(by deadline: Deadline) -> Bool {
        while word.pointee.load(ordering: .acquiring) == 0 { if !word.wait(while: 0, until: deadline) { return false } }
        return true
    }

    func wait() throws -> Value {
        _ = isThere(by: .never)
        guard let value else { preconditionFailure("an answer without a value") }
        return try value.get()
    }

    deinit { word.deallocate() }
}
