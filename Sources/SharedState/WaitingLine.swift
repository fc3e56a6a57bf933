import Glibc
import SystemLayer

extension WaitQueue {
    /// As ``wait(until:cancellation:_:)``, for an asynchronous function: no thread of the concurrency pool is held up, however many tasks wait.
    ///
    /// `attempt` is called in the task at first, then on a thread that waits here for all tasks of this process: it has one place in the queue, and tries them in the
    /// order of their coming. When the task is cancelled, the wait ends at once; an attempt that is just succeeding then still counts, so that nothing it took is lost.
    /// - Parameter attempt: what keeps the object alive has to be captured by it.
    /// - Throws: `CancellationError` when the task is cancelled; what `attempt` throws; ``SystemError`` when no thread can be started.
    func waitAsynchronously<R: Sendable>(until deadline: Deadline, _ attempt: @escaping @Sendable () throws -> R?) async throws -> R? {
        try Task.checkCancellation()
        if let result = try attempt() { return result }
        if deadline.hasPassed { return nil }
        let task = WaitingTask(until: deadline)
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                let attempt = {
                    do {
                        guard let result = try attempt() else { return false }
                        continuation.resume(returning: result)
                    } catch {
                        continuation.resume(throwing: error)
                    }
                    return true
                }
                WaitingLine.append(task, to: self, attempt) { error in
                    if let error { continuation.resume(throwing: error) } else { continuation.resume(returning: nil) }
                }
            }
        } onCancel: {
            WaitingLine.cancel(task)
        }
    }
}

/// A task that waits in a ``WaitingLine``.
final class WaitingTask: @unchecked Sendable {
    // Unchecked: what changes is guarded by the lines' lock.
    fileprivate enum State {
        case waiting
        /// The thread is at it, and nobody else may end it.
        case attempting
        case over
    }

    fileprivate let deadline: Deadline
    fileprivate var state = State.waiting
    fileprivate var isCancelled = false
    fileprivate weak var line: WaitingLine?
    /// Ends the wait, and says so, if what is waited for is there.
    fileprivate var attempt: () -> Bool = { false }
    /// Ends the wait: by an error, or at the deadline.
    fileprivate var end: ((any Error)?) -> Void = { _ in }

    fileprivate init(until deadline: Deadline) { self.deadline = deadline }
}

/// The tasks of this process that wait in one queue, and the thread that waits there for them.
final class WaitingLine: @unchecked Sendable {
    // Unchecked: what changes is guarded by `lock`.
    private static let lock = HostLock()
    /// By the queues' places.
    @exclusivity(unchecked) private nonisolated(unsafe) static var lines: [Int: WaitingLine] = [:]

    private let queue: WaitQueue
    private var tasks: [WaitingTask] = []
    /// Where its thread waits.
    private var place: WaitEntryPlace?

    private init(_ queue: WaitQueue) { self.queue = queue }

    // MARK: Tasks

    fileprivate static func append(
        _ task: WaitingTask, to queue: WaitQueue, _ attempt: @escaping () -> Bool, end: @escaping ((any Error)?) -> Void
    ) {
        lock.lock()
        (task.attempt, task.end) = (attempt, end)
        if task.isCancelled {
            lock.unlock()
            return end(CancellationError())
        }
        if let line = lines[queue.offset] {
            line.add(task)
            return lock.unlock()
        }
        let line = WaitingLine(queue)
        lines[queue.offset] = line
        line.add(task)
        lock.unlock()
        do { try AsyncWait.onThread { line.serve() } } catch { line.fail(error) }
    }

    /// Under the lock.
    private func add(_ task: WaitingTask) {
        task.line = self
        tasks.append(task)
        rouse()
    }

    fileprivate static func cancel(_ task: WaitingTask) {
        lock.lock()
        task.isCancelled = true
        // Before it has come to the line, `append` sees it; during an attempt, the thread does.
        guard let line = task.line, task.state == .waiting else { return lock.unlock() }
        task.state = .over
        // The thread may have nothing left to wait for.
        line.rouse()
        lock.unlock()
        task.end(CancellationError())
    }

    /// Has the thread look at its tasks. Under the lock. Without effect when its entry has been notified, or it has not entered yet: then it is about to look.
    private func rouse() {
        guard let place else { return }
        while true {
            let entry = place.load()
            if !entry.isWaiting || place.end(entry, as: .cancelled) { return }
        }
    }

    private func fail(_ error: any Error) {
        let all = Self.lock.withLock {
            Self.lines[queue.offset] = nil
            let all = tasks.filter { $0.state == .waiting }
            for task in all { task.state = .over }
            tasks = []
            return all
        }
        for task in all { task.end(error) }
    }

    // MARK: The thread

    private func serve() {
        let waiter = queue.enter()
        Self.lock.withLock { place = waiter?.place }
        // Their attempts keep the object, until the thread has left its queue.
        var current: [WaitingTask] = []
        while takeTasks(&current) {
            attempt(current)
            let next = current.reduce(Deadline.never) { $1.state == .waiting ? min($0, $1.deadline) : $0 }
            guard let waiter else {
                usleep(1000)
                continue
            }
            switch waiter.sleep(until: next) {
            case .notified:
                // While the entry says so: should the process die before, another is notified in its place.
                attempt(current)
                waiter.waitAgain()
            // Not by a store: it may be notified only of what comes after.
            case .cancelled: waiter.waitAgain()
            case .timedOut: break
            }
        }
        waiter?.leave(passingOn: true)
        withExtendedLifetime(current) {}
    }

    /// The tasks that wait now.
    /// - Returns: false when there are none; then the line is no longer known.
    private func takeTasks(_ current: inout [WaitingTask]) -> Bool {
        Self.lock.lock()
        defer { Self.lock.unlock() }
        if !tasks.isEmpty { current = tasks }
        tasks.removeAll { $0.state == .over }
        if !tasks.isEmpty { return true }
        place = nil
        Self.lines[queue.offset] = nil
        return false
    }

    private func attempt(_ current: [WaitingTask]) {
        for task in current {
            let isWaiting = Self.lock.withLock {
                guard task.state == .waiting else { return false }
                task.state = .attempting
                return true
            }
            guard isWaiting else { continue }
            // It comes after the look at the clock, as the last attempt has to.
            let isLast = task.deadline.hasPassed
            let isOver = task.attempt()
            let error: (any Error)?? = Self.lock.withLock {
                if !isOver, !task.isCancelled, !isLast {
                    task.state = .waiting
                    return nil
                }
                task.state = .over
                return isOver ? nil : .some(task.isCancelled ? CancellationError() : nil)
            }
            if let error { task.end(error) }
        }
    }
}
