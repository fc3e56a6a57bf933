import Glibc
import SystemLayer

extension WaitQueue {
    /// As ``wait(until:cancellation:_:)``, for an asynchronous function: no thread of the concurrency pool is held up, however many tasks wait.
    ///
    /// `attempt` is called in the task at first, then on a thread that waits here for all tasks of this process: it has one place in the queue, and tries them in the
    /// order of their coming. When the task is cancelled, the wait ends at once; an attempt that is just succeeding then still counts, so that nothing it took is lost.
    /// - Parameters:
    ///   - lock: if each attempt is to be made under it. The same in all calls of one queue. While another holds it, the thread waits for that, and the tasks' deadlines and
    ///     cancellations count all the same.
    ///   - site: where it is taken, for its profile.
    ///   - attempt: what keeps the object alive has to be captured by it.
    /// - Throws: `CancellationError` when the task is cancelled; what `attempt` throws; ``OwnerDied``, with the lock released; ``SystemError`` when no thread can be started.
    func waitAsynchronously<R: Sendable>(
        until deadline: Deadline, under lock: SharedLock? = nil, at site: CallSite? = nil, _ attempt: @escaping @Sendable () throws -> R?
    ) async throws -> R? {
        /// - Returns: nil when another holds the lock; and within, when the attempt has come to nothing.
        @Sendable func attemptUnderLock() throws -> R?? {
            guard let lock else { return .some(try attempt()) }
            return try lock.withLockIfFree(site ?? CallSite(#fileID, #line), afterDeath: { try lock.refuse($0) }, attempt)
        }
        try Task.checkCancellation()
        if lock?.conclude(.none) ?? true || deadline.hasPassed, case .some(.some(let result)) = try attemptUnderLock() { return result }
        if deadline.hasPassed { return nil }
        let task = WaitingTask(until: deadline)
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                let attempt = { () -> WaitingTask.Outcome in
                    do {
                        guard let outcome = try attemptUnderLock() else { return .notMade }
                        guard let result = outcome else { return .failure }
                        continuation.resume(returning: result)
                        return .success
                    } catch {
                        continuation.resume(throwing: error)
                        return .error
                    }
                }
                WaitingLine.append(task, to: self, under: lock, attempt) { error in
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

    /// How an attempt has come out.
    fileprivate enum Outcome {
        case success, failure, error
        /// Another holds the line's lock.
        case notMade

        var endsWait: Bool { self == .success || self == .error }
    }

    fileprivate let deadline: Deadline
    fileprivate var state = State.waiting
    fileprivate var isCancelled = false
    fileprivate weak var line: WaitingLine?
    /// Ends the wait, and says so, if what is waited for is there.
    fileprivate var attempt: () -> Outcome = { .failure }
    /// Ends the wait: by an error, or at the deadline.
    fileprivate var end: ((any Error)?) -> Void = { _ in }

    fileprivate init(until deadline: Deadline) { self.deadline = deadline }
}

/// The tasks of this process that wait in one queue, and the thread that waits there for them.
final class WaitingLine: @unchecked Sendable {
    // Unchecked: what changes is guarded by `lock`.
    static let lock = HostLock()
    /// By the queues' places.
    @exclusivity(unchecked) private nonisolated(unsafe) static var lines: [Int: WaitingLine] = [:]

    private let queue: WaitQueue
    /// Under which attempts are made.
    private let sharedLock: SharedLock?
    private var tasks: [WaitingTask] = []
    /// How many of them are not over.
    private var left = 0
    /// Where its thread waits.
    private var place: WaitEntryPlace?
    /// While its thread waits for the shared lock: what ends that wait, and when it ends by itself.
    private var lockWait: (cancellation: WaitCancellation, end: Deadline)?

    private init(_ queue: WaitQueue, under lock: SharedLock?) {
        self.queue = queue
        sharedLock = lock
    }

    // MARK: Tasks

    fileprivate static func append(
        _ task: WaitingTask, to queue: WaitQueue, under sharedLock: SharedLock?, _ attempt: @escaping () -> WaitingTask.Outcome,
        end: @escaping ((any Error)?) -> Void
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
        let line = WaitingLine(queue, under: sharedLock)
        lines[queue.offset] = line
        line.add(task)
        lock.unlock()
        do { try AsyncWait.onThread { line.serve() } } catch { line.fail(error) }
    }

    /// Under the lock.
    private func add(_ task: WaitingTask) {
        task.line = self
        tasks.append(task)
        left += 1
        rouse()
        if let lockWait, task.deadline < lockWait.end { lockWait.cancellation.cancel() }
    }

    fileprivate static func cancel(_ task: WaitingTask) {
        lock.lock()
        task.isCancelled = true
        // Before it has come to the line, `append` sees it; during an attempt, the thread does.
        guard let line = task.line, task.state == .waiting else { return lock.unlock() }
        line.end(task)
        lock.unlock()
        task.end(CancellationError())
    }

    /// Says that `task` is over. Under the lock.
    private func end(_ task: WaitingTask) {
        task.state = .over
        left -= 1
        // The thread may have nothing left to wait for; or much to forget, which is not to grow. Not for each: it looks at all that are left.
        if left == 0 || tasks.count > 2 * left + 16 { rouse() }
        if left == 0 { lockWait?.cancellation.cancel() }
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
        let (all, waiting) = Self.lock.withLock {
            Self.lines[queue.offset] = nil
            let all = tasks
            tasks = []
            let waiting = all.filter { $0.state == .waiting }
            for task in waiting { task.state = .over }
            return (all, waiting)
        }
        withExtendedLifetime(all) { for task in waiting { task.end(error) } }
    }

    /// Under the lock.
    static func forgetAfterFork() {
        // Leaked: the parent's tasks, and what they hold on to.
        for line in lines.values { _ = Unmanaged.passRetained(line) }
        lines = [:]
    }

    // MARK: The thread

    private func serve() {
        var waiter = queue.enter()
        Self.lock.withLock { place = waiter?.place }
        var pause = PollingPause()
        // Their attempts keep the object, until the thread has left its queue.
        var current: [WaitingTask] = []
        var isNotified = false
        var isUsed = false
        // In vain: another held the shared lock.
        var attempts = 0
        var request = LockRequest.none
        while takeTasks(&current) {
            let outcomes = attempt(current, request)
            // Whoever looks after a notification and finds nothing has used it, too.
            isUsed = isUsed || outcomes.contains { $0 == .success || $0 == .failure }
            // The entry stays as it is until the attempts have been made.
            if outcomes.contains(.notMade) {
                attempts += 1
                request = awaitSharedLock(afterAttempts: attempts)
                continue
            }
            (attempts, request) = (0, .none)
            guard let waiter else {
                // No room in the queue: it looks by itself, less and less often, until there is.
                pause.sleep(until: Self.lock.withLock { nextDeadline })
                waiter = queue.enter()
                Self.lock.withLock { place = waiter?.place }
                continue
            }
            if isNotified {
                // They were cancelled, or told of a death: another process may have use for it.
                if !isUsed { queue.notify() }
                // Only now: should the process die before, another is notified in its place.
                isNotified = false
                waiter.waitAgain()
                continue
            }
            isUsed = false
            switch waiter.sleep(until: Self.lock.withLock { nextDeadline }) {
            case .notified: isNotified = true
            // Not by a store: it may be notified only of what comes after.
            case .cancelled: waiter.waitAgain()
            case .timedOut: break
            }
        }
        // Where no attempt has followed.
        _ = sharedLock?.conclude(request)
        waiter?.leave(passingOn: true)
        withExtendedLifetime(current) {}
    }

    /// Under the lock.
    private var nextDeadline: Deadline { tasks.reduce(.never) { $1.state == .waiting ? min($0, $1.deadline) : $0 } }

    /// Waits until the lock under which attempts are made looks free, or there is something else to do.
    /// - Returns: what has been asked of it.
    private func awaitSharedLock(afterAttempts attempts: Int) -> LockRequest {
        let cancellation = WaitCancellation()
        let end: Deadline? = Self.lock.withLock {
            if left == 0 { return nil }
            // Of all: those that have come since the attempts have found nobody to rouse.
            let end = nextDeadline
            lockWait = (cancellation, end)
            return end
        }
        guard let end else { return .none }
        // What may go wrong goes wrong for the next attempt, too, which tells its task. It is cancelled for the tasks' sake.
        let request = try? sharedLock?.waitUntilFree(until: end, cancellation, afterAttempts: attempts)
        Self.lock.withLock { lockWait = nil }
        return request ?? .none
    }

    /// The tasks that wait now.
    /// - Returns: false when there are none; then the line is no longer known.
    private func takeTasks(_ current: inout [WaitingTask]) -> Bool {
        // What goes here may be the last of what users' functions hold on to: not under the lock.
        let before = current
        Self.lock.lock()
        if !tasks.isEmpty { current = tasks }
        tasks.removeAll { $0.state == .over }
        let isEmpty = tasks.isEmpty
        if isEmpty {
            place = nil
            Self.lines[queue.offset] = nil
        }
        Self.lock.unlock()
        return withExtendedLifetime(before) { !isEmpty }
    }

    /// Has those tasks make an attempt that wait, up to the first that finds the shared lock held, after which only those do that have no more time.
    private func attempt(_ current: [WaitingTask], _ request: LockRequest) -> Set<WaitingTask.Outcome> {
        var outcomes: Set<WaitingTask.Outcome> = []
        for task in current where !outcomes.contains(.notMade) || task.deadline.hasPassed {
            let isWaiting = Self.lock.withLock {
                guard task.state == .waiting else { return false }
                task.state = .attempting
                return true
            }
            guard isWaiting else { continue }
            // It comes after the look at the clock, as the last attempt has to.
            let isLast = task.deadline.hasPassed
            let outcome = sharedLock?.conclude(request) ?? true || isLast ? task.attempt() : .notMade
            outcomes.insert(outcome)
            let error: (any Error)?? = Self.lock.withLock {
                if !outcome.endsWait, !task.isCancelled, !isLast {
                    task.state = .waiting
                    return nil
                }
                end(task)
                return outcome.endsWait ? nil : .some(task.isCancelled ? CancellationError() : nil)
            }
            if let error { task.end(error) }
        }
        return outcomes
    }
}
