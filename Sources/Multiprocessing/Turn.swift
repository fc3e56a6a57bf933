import Glibc
import Synchronization
import SystemLayer
import WorkerSupervision

/// Something that one thread at a time does on behalf of all that want it done, and that runs the user's code: so nobody waits for it who need not.
final class Turn: @unchecked Sendable {
    // Unchecked: `lock` guards everything that changes; nothing else is done under it.
    private let lock = HostLock()
    private var worker: pthread_t?
    private var isWantedAgain = false
    /// Counts what those who wait wait for, which is rare.
    private let changes: FutexWord = .makeFutexWord()
    private let waiting = Atomic<Int>(0)

    deinit { changes.deallocate() }

    /// Does `body`; or, if another thread is at it, has that do it once more.
    /// - Returns: false in the latter case.
    @discardableResult
    func take(_ body: () -> Void) -> Bool {
        let isFree = lock.withLock {
            isWantedAgain = worker != nil
            if worker == nil { worker = pthread_self() }
            return !isWantedAgain
        }
        guard isFree else { return false }
        repeat {
            body()
        } while lock.withLock {
            defer { isWantedAgain = false }
            if !isWantedAgain { worker = nil }
            return isWantedAgain
        }
        tell()
        return true
    }

    /// Whether the calling thread is at it, further up its stack.
    var isMine: Bool { lock.withLock { worker.map { pthread_equal($0, pthread_self()) != 0 } ?? false } }

    /// What who is at it is told when that wants what is still to come of it.
    static var waitsForItself: UsageError {
        UsageError("An input asked for a result that is made of it, or of inputs behind it. Inputs cannot depend on their own results.")
    }

    /// Whether somebody waits for what is done in the turn.
    var isAwaited: Bool { waiting.load(ordering: .relaxed) > 0 }

    /// Has those look again who wait for what is done in the turn.
    func tell() {
        guard waiting.load(ordering: .sequentiallyConsistent) > 0 else { return }
        changes.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        changes.wakeAll()
    }

    /// Waits until the turn has ended, or something has been told, unless `isThere` says that there is no need.
    func wait(unless isThere: () -> Bool) {
        waiting.wrappingAdd(1, ordering: .sequentiallyConsistent)
        defer { waiting.wrappingSubtract(1, ordering: .sequentiallyConsistent) }
        let seen = changes.pointee.load(ordering: .sequentiallyConsistent)
        if lock.withLock({ worker == nil }) || isThere() { return }
        changes.wait(while: seen)
    }
}
