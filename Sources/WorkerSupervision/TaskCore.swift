public import SystemLayer
import Synchronization

/// What the tasks in a pool's slots belong to, on their host's side.
@usableFromInline
package class TaskOwner: @unchecked Sendable {
    // Unchecked: each subclass says what guards its state.

    /// Takes the outcome of the task that was published with `tag`. Never blocks, runs no user code. It may be told twice of a task that was given up while a
    /// worker was on it: what it is told first counts.
    func taskEnded(_ tag: Int, _ outcome: Outcome) {}
}

/// One piece of work as its host sees it, from its submission to its outcome, which comes exactly once.
@usableFromInline
package final class TaskCore: TaskOwner, @unchecked Sendable {
    // Unchecked: `result` is written by whoever has set `completing`, and read by those who have seen `done`; the rest is set before the task is published.
    private static let completing: UInt32 = 1
    private static let done: UInt32 = 2
    private static let sleeping: UInt32 = 4

    private let state = Atomic<UInt32>(0)
    /// A list of handlers, the last one first; `closedList` once they have been called.
    private let handlers = Atomic<UInt>(0)
    private static let closedList: UInt = 1
    private var result: Outcome?

    /// Who runs it, and where; nil for work that is only the sum of other work.
    let pool: WorkerPool?
    var slot = 0
    var use: UInt32 = 0
    /// Cancels what the work consists of, for work that no pool runs by itself.
    private let cancelParts: (@Sendable () -> Void)?

    package init(cancelParts: (@Sendable () -> Void)? = nil) {
        pool = nil
        self.cancelParts = cancelParts
    }

    init(in pool: WorkerPool) {
        self.pool = pool
        cancelParts = nil
    }

    deinit { freeHandlers(handlers.load(ordering: .acquiring)) }

    /// The outcome, once there is one that the host knows of.
    package var outcome: Outcome? { state.load(ordering: .acquiring) & Self.done != 0 ? result : nil }
    private var hasOutcome: Bool { state.load(ordering: .acquiring) & Self.done != 0 }

    /// The pool, in the process that it belongs to. In a forked copy, whatever is done to the task would be done to the parent's.
    private var hostPool: WorkerPool? { pool.flatMap { $0.isHost ? $0 : nil } }
    /// Why this copy of a parent's task will never have an outcome, if it is one.
    private var foreignness: Outcome? {
        guard let pool else { return nil }
        do { try pool.checkHost() } catch { return .failure(error) }
        return nil
    }

    /// Whether there is an outcome; takes it out of the worker's hands where it lies there.
    package var isDone: Bool {
        if hasOutcome { return true }
        hostPool?.drainIfFinished(slot, use)
        return hasOutcome
    }

    /// Whether a worker is on it now.
    package var isRunning: Bool { !hasOutcome && hostPool?.isRunning(slot, use) == true }

    override func taskEnded(_ tag: Int, _ outcome: Outcome) { complete(outcome) }

    /// Gives it its outcome, unless it has one. Never blocks, runs no user code.
    /// - Returns: whether this was the one.
    @discardableResult
    package func complete(_ outcome: Outcome) -> Bool {
        guard state.bitwiseOr(Self.completing, ordering: .acquiringAndReleasing).oldValue & Self.completing == 0 else { return false }
        result = outcome
        if state.bitwiseOr(Self.done, ordering: .acquiringAndReleasing).oldValue & Self.sleeping != 0 {
            Bedroom.wakeAll(ObjectIdentifier(self))
        }
        let waiting = handlers.exchange(Self.closedList, ordering: .acquiringAndReleasing)
        if waiting != 0 { callHandlers(waiting, outcome) }
        return true
    }

    // MARK: Handlers

    private final class Handler {
        let body: @Sendable (Outcome) -> Void
        var next: UInt = 0
        init(_ body: @escaping @Sendable (Outcome) -> Void) { self.body = body }
    }

    /// Has `handler` called with the outcome, once, at once if it is there. It runs on whichever thread notices the end, so it must be quick and not block.
    package func whenComplete(_ handler: @escaping @Sendable (Outcome) -> Void) {
        if let known = outcome { return handler(known) }
        let new = Handler(handler)
        let reference = UInt(bitPattern: Unmanaged.passRetained(new).toOpaque())
        var first = handlers.load(ordering: .acquiring)
        while first != Self.closedList {
            new.next = first
            let (exchanged, now) = handlers.compareExchange(expected: first, desired: reference, ordering: .acquiringAndReleasing)
            if exchanged {
                // A copy's task will never have an outcome: the handler hears why.
                if let foreignness { complete(foreignness) } else { pool?.supervise(slot, use) }
                return
            }
            first = now
        }
        releaseHandler(reference)
        if let outcome { handler(outcome) }
    }

    private func handler(_ reference: UInt) -> Handler? {
        UnsafeRawPointer(bitPattern: reference).map { Unmanaged<Handler>.fromOpaque($0).takeUnretainedValue() }
    }

    private func releaseHandler(_ reference: UInt) {
        if let pointer = UnsafeRawPointer(bitPattern: reference) { Unmanaged<Handler>.fromOpaque(pointer).release() }
    }

    private func callHandlers(_ list: UInt, _ outcome: Outcome) {
        var ordered: [Handler] = []
        var next = list
        while let handler = handler(next) {
            ordered.append(handler)
            next = handler.next
        }
        freeHandlers(list)
        for handler in ordered.reversed() { handler.body(outcome) }
    }

    private func freeHandlers(_ list: UInt) {
        var next = list
        while next != Self.closedList, let handler = handler(next) {
            let reference = next
            next = handler.next
            releaseHandler(reference)
        }
    }

    // MARK: Waiting

    /// Waits for the outcome.
    /// - Returns: nil when `deadline` passes first.
    @usableFromInline
    package func wait(until deadline: Deadline) -> Outcome? {
        if let outcome { return outcome }
        if let foreignness { return foreignness }
        var spinning = Spinning(in: pool)
        while true {
            if let outcome { return outcome }
            // The task's own word is the fastest to hear from: its worker wakes who sleeps there.
            switch pool?.prepareToSleep(on: slot, use) {
            case .look: continue
            case .sleep(let word):
                if spinning.pause() { continue }
                guard let announced = pool?.announceSleep(on: slot, use) else { continue }
                if !word.wait(while: announced, until: deadline), !isDone { return nil }
            case .elsewhere, nil:
                // The host has it in hand.
                let (word, seen) = Bedroom.place(for: ObjectIdentifier(self))
                if state.bitwiseOr(Self.sleeping, ordering: .acquiringAndReleasing).oldValue & Self.done != 0 { continue }
                if !word.wait(while: seen, until: deadline), !hasOutcome { return nil }
            }
        }
    }

    // MARK: Giving up

    /// Says that nobody will ask for the outcome: it is taken out when it comes, so that neither it nor what it refers to stays in shared memory.
    package func abandon() {
        if !hasOutcome { hostPool?.supervise(slot, use) }
    }

    /// Drops the work if no worker has taken it yet.
    package func cancelIfPending() { _ = hostPool?.giveUp(slot, use, CancellationError(), running: false) }

    /// Gives the work up: what waits is dropped, and a worker that is on it is killed and replaced.
    /// - Returns: false when it was done already.
    package func cancel(_ error: any Error = CancellationError()) -> Bool {
        if let cancelParts {
            guard complete(.failure(error)) else { return false }
            cancelParts()
            return true
        }
        if foreignness != nil { return false }
        return pool?.giveUp(slot, use, error) ?? complete(.failure(error))
    }
}

/// A thread's waiting on its processor, for as long as that is right.
struct Spinning {
    private unowned(unsafe) let pool: WorkerPool?
    private var end = Deadline.never
    private var turns = 0

    /// - Parameter pool: says how long; must outlive this.
    init(in pool: WorkerPool?) { self.pool = pool }

    /// Lets a moment pass; false when it has been long enough.
    @inline(__always)
    mutating func pause() -> Bool {
        turns += 1
        // A look at the clock costs as much as some pauses: the answer may be there before the first one.
        if turns % 32 == 1, isOver() { return false }
        spinPause()
        return true
    }

    private mutating func isOver() -> Bool {
        guard let pool, pool.mayEverSpin else { return true }
        if turns == 1 { return false }
        if end.isNever { end = pool.spinEnd() }
        return Deadline.now > end
    }
}

/// Words for threads to sleep on until something happens to an object, shared by all objects: who is woken looks again whether it was for them.
private enum Bedroom {
    private static let count = 64
    private nonisolated(unsafe) static let words: FutexWord = {
        // Never freed: as long as the process lives, somebody may sleep.
        let words = FutexWord.allocate(capacity: count)
        for i in 0..<count { (words + i).initialize(to: Atomic(0)) }
        return words
    }()

    private static func word(for object: ObjectIdentifier) -> FutexWord {
        words + Int(((UInt(bitPattern: object) >> 4) &* 0x9E37_79B9_7F4A_7C15) >> 58)
    }

    /// The word, and what it says now: read before the sleeper announces itself.
    static func place(for object: ObjectIdentifier) -> (word: FutexWord, seen: UInt32) {
        let word = word(for: object)
        return (word, word.pointee.load(ordering: .sequentiallyConsistent))
    }

    static func wakeAll(_ object: ObjectIdentifier) {
        let word = word(for: object)
        word.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        word.wakeAll()
    }
}
