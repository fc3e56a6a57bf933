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
    private var timers: [(id: Int, deadline: Deadline, body: @Sendable () -> Void)] = []
    private var lastTimer = 0

    func perform(_ body: @escaping @Sendable () -> Void) { add { $0.queue.append(body) } }

    /// Calls `body`, which must be quick, once `deadline` has passed.
    /// - Returns: what ``cancel(_:)`` takes.
    func perform(at deadline: Deadline, _ body: @escaping @Sendable () -> Void) -> Int {
        let id = lock.withLock {
            lastTimer += 1
            return lastTimer
        }
        add { $0.timers.append((id, deadline, body)) }
        return id
    }

    /// Forgets what was to be called at a certain time, unless it has been.
    func cancel(_ timer: Int) { lock.withLock { timers.removeAll { $0.id == timer } } }

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
            do {
                try startThread(name: "mp-callbacks", stackBytes: 8 << 20) { [self] in run() }
            } catch {
                lock.withLock { isStarted = false }
                while runOnce() {}
            }
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
            // One look at the clock: what passes between two would be removed and not run.
            let now = Deadline.now
            let due = timers.filter { $0.deadline <= now }.map(\.body)
            timers.removeAll { $0.deadline <= now }
            defer { queue = [] }
            return due + queue
        }
        for body in bodies { body() }
        return !bodies.isEmpty
    }
}
