import Synchronization
import SystemLayer
import WorkerSupervision

/// The thread that runs users' callbacks, one after the other, and what is due at a certain time.
final class CallbackThread: @unchecked Sendable {
    // Unchecked: `lock` guards everything that changes.
    static let shared = CallbackThread()

    private let lock = HostLock()
    private let word: FutexWord = .makeFutexWord()
    private var isStarted = false
    private var queue: [@Sendable () -> Void] = []
    private var timers: [(deadline: Deadline, body: @Sendable () -> Void)] = []

    func perform(_ body: @escaping @Sendable () -> Void) { add { $0.queue.append(body) } }

    /// Calls `body`, which must be quick, once `deadline` has passed.
    func perform(at deadline: Deadline, _ body: @escaping @Sendable () -> Void) { add { $0.timers.append((deadline, body)) } }

    private func add(_ change: (CallbackThread) -> Void) {
        let isFirst = lock.withLock {
            change(self)
            defer { isStarted = true }
            return !isStarted
        }
        if isFirst {
            // In a forked child the thread does not exist, and what was queued is its parent's.
            ForkGuard.add(lock) { [self] in (isStarted, queue, timers) = (false, [], []) }
            // Without a thread, callbacks would be lost: then they run here.
            do { try startThread(name: "mp-callbacks") { [self] in run() } } catch { while runOnce() {} }
        }
        word.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        word.wake()
    }

    private func run() {
        while true {
            let seen = word.pointee.load(ordering: .sequentiallyConsistent)
            while runOnce() {}
            word.wait(while: seen, until: lock.withLock { timers.map(\.deadline).min() } ?? .never)
        }
    }

    /// Runs what is there. Returns whether there was anything.
    private func runOnce() -> Bool {
        let bodies = lock.withLock {
            let due = timers.filter { $0.deadline.hasPassed }.map(\.body)
            timers.removeAll { $0.deadline.hasPassed }
            defer { queue = [] }
            return due + queue
        }
        for body in bodies { body() }
        return !bodies.isEmpty
    }
}
