package import SystemLayer
import Synchronization

/// One piece of work as its host sees it, from its submission to its outcome, which comes exactly once.
package final class TaskCore: @unchecked Sendable {
    // Unchecked: `lock` guards `handlers` and `outcome`, the latter readable without it once `state` says done; what the pool sets before it publishes the
    // task does not change afterwards; `attempts` and `retained` are the pool's, under its lock.
    private static let done: UInt32 = 1
    private static let sleeping: UInt32 = 2

    /// Bit 0: there is an outcome; bit 1: somebody sleeps on the word.
    private let state: FutexWord = .makeFutexWord()
    private let lock = HostLock()
    private var handlers: [@Sendable (Outcome) -> Void] = []
    private var result: Outcome?

    /// Who runs it, and where; nil for work that is only the sum of other work.
    weak var pool: WorkerPool?
    var slot = 0
    var use: UInt32 = 0
    /// The function in words, for errors. Costs milliseconds.
    var describe: @Sendable () -> String = { "a function" }
    /// What must outlive the task's arguments.
    var retained: [AnyObject] = []
    var attempts = 1
    /// Cancels what the work consists of, for work that no pool runs by itself.
    private let cancelParts: (@Sendable () -> Void)?

    package init(cancelParts: (@Sendable () -> Void)? = nil) { self.cancelParts = cancelParts }

    deinit { state.deallocate() }

    /// The outcome, once there is one that the host knows of.
    package var outcome: Outcome? { state.pointee.load(ordering: .acquiring) & Self.done != 0 ? result : nil }

    /// The pool, in the process that it belongs to. In a forked copy, whatever is done to the task would be done to the parent's.
    private var hostPool: WorkerPool? { pool.flatMap { (try? $0.checkHost()) == nil ? nil : $0 } }
    /// Why this copy of a parent's task will never have an outcome, if it is one.
    private var foreignness: Outcome? {
        guard let pool else { return nil }
        do { try pool.checkHost() } catch { return .failure(error) }
        return nil
    }

    /// Whether there is an outcome; takes it out of the worker's hands where it lies there.
    package var isDone: Bool {
        if outcome != nil { return true }
        hostPool?.drainIfFinished(self)
        return outcome != nil
    }

    /// Whether a worker is on it now.
    package var isRunning: Bool { outcome == nil && hostPool?.isRunning(self) == true }

    /// Gives it its outcome, unless it has one. Never blocks, runs no user code.
    /// - Returns: whether this was the one.
    @discardableResult
    package func complete(_ outcome: Outcome) -> Bool {
        let waiting: [@Sendable (Outcome) -> Void]? = lock.withLock {
            guard result == nil else { return nil }
            result = outcome
            if state.pointee.exchange(Self.done, ordering: .acquiringAndReleasing) & Self.sleeping != 0 { state.wakeAll() }
            defer { handlers = [] }
            return handlers
        }
        guard let waiting else { return false }
        for handler in waiting { handler(outcome) }
        return true
    }

    /// Has `handler` called with the outcome, once, at once if it is there. It runs on whichever thread notices the end, so it must be quick and not block.
    package func whenComplete(_ handler: @escaping @Sendable (Outcome) -> Void) {
        let known: Outcome? = lock.withLock {
            if result == nil { handlers.append(handler) }
            return result
        }
        if let known = known ?? foreignness { return handler(known) }
        pool?.supervise(self)
    }

    /// Waits for the outcome.
    /// - Returns: nil when `deadline` passes first.
    package func wait(until deadline: Deadline) -> Outcome? {
        if outcome == nil, let foreignness { return foreignness }
        var spins = pool?.spinsForResult ?? 0
        while true {
            if let outcome { return outcome }
            // The task's own word is the fastest to hear from: its worker wakes who sleeps there.
            switch pool?.prepareToSleep(on: self) {
            case .look: continue
            case .sleep(let word):
                if spins > 0 {
                    spins -= 1
                    spinPause()
                    continue
                }
                guard let announced = pool?.announceSleep(on: self) else { continue }
                if !word.wait(while: announced, until: deadline), outcome == nil, !isDone { return nil }
            case .elsewhere, nil:
                let current = state.pointee.load(ordering: .acquiring)
                if current & Self.done != 0 { continue }
                let asleep = current | Self.sleeping
                if current != asleep,
                    !state.pointee.compareExchange(expected: current, desired: asleep, ordering: .acquiringAndReleasing).exchanged
                {
                    continue
                }
                if !state.wait(while: asleep, until: deadline) { return outcome }
            }
        }
    }

    /// Says that nobody will ask for the outcome: it is taken out when it comes, so that neither it nor what it refers to stays in shared memory.
    package func abandon() {
        if outcome == nil { hostPool?.supervise(self) }
    }

    /// Drops the work if no worker has taken it yet.
    package func cancelIfPending() { _ = hostPool?.giveUp(self, CancellationError(), running: false) }

    /// Gives the work up: what waits is dropped, and a worker that is on it is killed and replaced.
    /// - Returns: false when it was done already.
    package func cancel(_ error: any Error = CancellationError()) -> Bool {
        if let cancelParts {
            guard complete(.failure(error)) else { return false }
            cancelParts()
            return true
        }
        if foreignness != nil { return false }
        return pool?.giveUp(self, error) ?? complete(.failure(error))
    }
}
