import Glibc
public import SystemLayer
import Synchronization

/// One piece of work as its host sees it, from its submission to its outcome, which comes exactly once: what a future is, but for the type of its result. Public as futures
/// are; what it can do is the library's affair.
///
/// A pool does not keep its tasks alive: when nobody asks for one any more, it goes, and its result is then taken out unseen. So whoever tells a task its outcome must not
/// touch it afterwards, and who frees it meanwhile waits for them, by the word of its slot (see the room's README).
open class TaskCore: @unchecked Sendable {
    // Unchecked: the result is written by whoever has set `completing`, or has the slot, and read by those who have seen `done`; the rest is set before the task is published.
    private static let completing: UInt = 1
    private static let done: UInt = 2
    private static let sleeping: UInt = 4
    private static let flags: UInt = 7

    /// Flags, and the address of the handler that came last, if any.
    private let state = Atomic<UInt>(0)
    /// Who runs it, and where; nil for work that is only the sum of other work.
    let pool: WorkerPool?
    /// Cancels what the work consists of, for work that no pool runs by itself.
    private let parts: Parts?
    // The outcome, as small as can be: there may be millions of these. A short result is in the object itself, a longer one is its payload, anything else is kept apart.
    @exclusivity(unchecked) private var rest: AnyObject?
    @exclusivity(unchecked) var slot: Int32 = 0
    @exclusivity(unchecked) var use: UInt32 = 0
    @exclusivity(unchecked) private var small: SmallPayload?
    @exclusivity(unchecked) private var restIsPayload = false

    private final class Parts {
        let cancel: @Sendable () -> Void
        init(_ cancel: @escaping @Sendable () -> Void) { self.cancel = cancel }
    }

    private final class Kept {
        let outcome: Outcome
        init(_ outcome: Outcome) { self.outcome = outcome }
    }

    /// Work that a pool runs, to which it is to be submitted; or without one, work that is ended by ``complete(_:)``.
    package init(in pool: WorkerPool? = nil, cancelParts: (@Sendable () -> Void)? = nil) {
        self.pool = pool
        parts = cancelParts.map(Parts.init)
    }

    // Who asks by a handler keeps it alive.
    deinit { if !hasOutcome, let pool = hostPool, pool.abandon(slot, use) { while !hasOutcome { sched_yield() } } }

    /// The outcome, once there is one that the host knows of.
    package final var outcome: Outcome? {
        guard hasOutcome else { return nil }
        if let small { return .small(small) }
        guard let rest else { preconditionFailure("a task without the outcome that it has") }
        return restIsPayload ? .value(unsafeDowncast(rest, to: Payload.self)) : unsafeDowncast(rest, to: Kept.self).outcome
    }
    private final var hasOutcome: Bool { state.load(ordering: .acquiring) & Self.done != 0 }

    /// The pool, in the process that it belongs to. In a forked copy, whatever is done to the task would be done to the parent's.
    private final var hostPool: WorkerPool? { pool.flatMap { $0.isHost ? $0 : nil } }
    /// Why this copy of a parent's task will never have an outcome, if it is one.
    private final var foreignness: Outcome? {
        guard let pool else { return nil }
        do { try pool.checkHost() } catch { return .failure(error) }
        return nil
    }

    /// Whether there is an outcome; takes it out of the worker's hands where it lies there.
    package final var hasEnded: Bool {
        if hasOutcome { return true }
        hostPool?.drainIfFinished(Int(slot), use)
        return hasOutcome
    }

    /// Whether a worker is on it now.
    package final var isWithWorker: Bool { !hasOutcome && hostPool?.isRunning(Int(slot), use) == true }

    /// Gives it its outcome, unless it has one. Never blocks, runs no user code.
    /// - Returns: whether this was the one.
    @discardableResult
    package final func complete(_ outcome: Outcome) -> Bool {
        guard state.bitwiseOr(Self.completing, ordering: .acquiringAndReleasing).oldValue & Self.completing == 0 else { return false }
        completeAlone(outcome)
        return true
    }

    /// The same by the only one who may. Unless the caller keeps it alive, the task may be gone afterwards: nothing here touches it once it is done.
    final func completeAlone(_ outcome: Outcome) {
        switch outcome {
        case .small(let payload): small = payload
        case .value(let payload): (rest, restIsPayload) = (payload, true)
        default: rest = Kept(outcome)
        }
        let identity = ObjectIdentifier(self)
        let old = setDone()
        if old & ~Self.completing != 0 { Self.tell(old, identity, outcome) }
    }

    /// The same with what most outcomes are.
    @inline(__always)
    final func completeAlone(_ payload: SmallPayload) {
        small = payload
        let identity = ObjectIdentifier(self)
        let old = setDone()
        if old & ~Self.completing != 0 { Self.tell(old, identity, .small(payload)) }
    }

    /// The last thing done to a task by who tells its outcome. Returns who was to be told.
    @inline(__always)
    private final func setDone() -> UInt { state.exchange(Self.completing | Self.done, ordering: .acquiringAndReleasing) }

    @inline(never)
    private static func tell(_ old: UInt, _ identity: ObjectIdentifier, _ outcome: Outcome) {
        if old & sleeping != 0 { Bedroom.wakeAll(identity) }
        var ordered: [Handler] = []
        var next = old & ~flags
        while let pointer = UnsafeRawPointer(bitPattern: next) {
            let handler = Unmanaged<Handler>.fromOpaque(pointer).takeRetainedValue()
            ordered.append(handler)
            next = handler.next
        }
        for handler in ordered.reversed() { handler.body(outcome) }
    }

    // MARK: Handlers

    private final class Handler {
        let body: @Sendable (Outcome) -> Void
        var next: UInt = 0
        /// Kept alive, until it is done.
        let task: TaskCore

        init(_ body: @escaping @Sendable (Outcome) -> Void, of task: TaskCore) {
            self.body = body
            self.task = task
        }
    }

    /// Has `handler` called with the outcome, once, at once if it is there. It runs on whichever thread notices the end, so it must be quick and not block.
    package final func whenComplete(_ handler: @escaping @Sendable (Outcome) -> Void) {
        if let known = outcome { return handler(known) }
        let new = Handler(handler, of: self)
        let reference = Unmanaged.passRetained(new)
        var known = state.load(ordering: .acquiring)
        while known & Self.done == 0 {
            new.next = known & ~Self.flags
            let desired = UInt(bitPattern: reference.toOpaque()) | known & Self.flags
            let (exchanged, now) = state.compareExchange(expected: known, desired: desired, ordering: .acquiringAndReleasing)
            if exchanged {
                // A copy's task will never have an outcome: the handler hears why.
                if let foreignness { complete(foreignness) } else { pool?.supervise(Int(slot), use) }
                return
            }
            known = now
        }
        reference.release()
        if let outcome { handler(outcome) }
    }

    // MARK: Waiting

    /// Waits for the outcome.
    /// - Returns: nil when `deadline` passes first.
    @usableFromInline
    package final func wait(until deadline: Deadline) -> Outcome? {
        if let outcome { return outcome }
        if let foreignness { return foreignness }
        var spinning = Spinning(in: pool)
        while true {
            if let outcome { return outcome }
            // The task's own word is the fastest to hear from: its worker wakes who sleeps there.
            switch pool?.prepareToSleep(on: Int(slot), use) {
            case .look: continue
            case .sleep(let word):
                if spinning.pause() { continue }
                guard let announced = pool?.announceSleep(on: Int(slot), use) else { continue }
                if !word.wait(while: announced, until: deadline), !hasEnded { return nil }
            case .elsewhere, nil:
                // The host has it in hand.
                let (word, seen) = Bedroom.place(for: ObjectIdentifier(self))
                if state.bitwiseOr(Self.sleeping, ordering: .acquiringAndReleasing).oldValue & Self.done != 0 { continue }
                if !word.wait(while: seen, until: deadline), !hasOutcome { return nil }
            }
        }
    }

    // MARK: Giving up

    /// Drops the work if no worker has taken it yet.
    package final func cancelIfPending() { _ = hostPool?.giveUp(Int(slot), use, CancellationError(), running: false) }

    /// Gives the work up: what waits is dropped, and a worker that is on it is killed and replaced.
    /// - Returns: false when it was done already.
    package final func giveUp() -> Bool {
        let outcome = Outcome.failure(CancellationError())
        if let parts {
            guard complete(outcome) else { return false }
            parts.cancel()
            return true
        }
        if foreignness != nil { return false }
        return pool?.giveUp(Int(slot), use, CancellationError()) ?? complete(outcome)
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
