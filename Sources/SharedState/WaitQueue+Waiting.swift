import Glibc
import Synchronization
import SystemLayer

extension WaitQueue {
    /// Waits until `attempt` returns something. It is called at once, after entering, whenever the thread is notified, and a last time at the deadline; it
    /// must not wait itself.
    ///
    /// A thread that was notified and does not use it (the attempt fails at the deadline, or throws) passes the notification on.
    /// - Returns: nil at the deadline.
    /// - Throws: `CancellationError` once `cancellation` is; what `attempt` throws.
    func wait<R>(until deadline: Deadline, cancellation: WaitCancellation? = nil, _ attempt: () throws -> R?) throws -> R? {
        if cancellation?.isCancelled == true { throw CancellationError() }
        if let result = try attempt() { return result }
        if deadline.hasPassed { return nil }
        // Not past others that wait already. Who spins before it enters costs the notifier nothing, and nobody's turn.
        let othersWait = mayHaveWaiters
        if !othersWait, let result = try spin(until: deadline, cancellation, attempt) { return result }
        if let waiter = enter() { return try wait(as: waiter, until: deadline, cancellation: cancellation, spinning: othersWait, attempt) }
        let found = try poll(until: deadline, cancellation) { try attempt().map(Found.result) ?? enter().map(Found.place) }
        switch found {
        case .result(let result): return result
        case .place(let waiter): return try wait(as: waiter, until: deadline, cancellation: cancellation, attempt)
        case nil: return nil
        }
    }

    /// Makes attempts for a while, unless somebody needs the processor.
    private func spin<R>(until deadline: Deadline, _ cancellation: WaitCancellation?, _ attempt: () throws -> R?) throws -> R? {
        let advice = spinAdvice
        guard advice.maySpin else { return nil }
        var now = monotonicNow()
        let end = min(now + SpinAdvice.length, deadline.instant)
        var pause = SpinAdvice.firstPause
        while now < end, cancellation?.isCancelled != true {
            // Growing, because every attempt takes the state's cache line from who is about to change it.
            let next = now + pause
            repeat {
                spinPause()
                now = monotonicNow()
            } while now < next
            pause *= 2
            if let result = try attempt() {
                advice.note(paid: true)
                return result
            }
        }
        advice.note(paid: false)
        return nil
    }

    /// What one finds in time for whom there was no room in the queue.
    private enum Found<R> {
        case result(R)
        case place(Waiter)
    }

    /// Waits where the calling thread has entered.
    /// - Parameter spinning: whether it may spin before it sleeps for the first time.
    func wait<R>(
        as waiter: Waiter, until deadline: Deadline, cancellation: WaitCancellation? = nil, spinning: Bool = true,
        _ attempt: () throws -> R?
    ) throws -> R? {
        cancellation?.watch(waiter.place)
        var isUsed = false
        var maySpin = spinning
        defer {
            cancellation?.unwatch()
            waiter.leave(passingOn: !isUsed)
        }
        while true {
            // After entering: a cancellation of before has not found the entry.
            if cancellation?.isCancelled == true { throw CancellationError() }
            // A notification that comes meanwhile may be of another change than the one that lets this succeed: it is passed on.
            if let result = try attempt() { return result }
            switch waiter.sleep(until: deadline, spinning: maySpin) {
            case .notified:
                maySpin = true
                if let result = try attempt() {
                    isUsed = true
                    return result
                }
                if deadline.hasPassed { return nil }
                waiter.waitAgain()
            case .cancelled: throw CancellationError()
            case .timedOut: return try attempt()
            }
        }
    }

    /// Waits where there is no room in the queue, by looking again and again: less and less often, as hundreds that wait long would keep a processor busy.
    func poll<R>(until deadline: Deadline, _ cancellation: WaitCancellation?, _ attempt: () throws -> R?) throws -> R? {
        var pause = PollingPause()
        while true {
            pause.sleep(until: deadline)
            if cancellation?.isCancelled == true { throw CancellationError() }
            if let result = try attempt() { return result }
            if deadline.hasPassed { return nil }
        }
    }
}

/// The pauses of who looks again and again: from 1 ms to 32.
struct PollingPause {
    private var next: Int64 = 1_000_000

    /// Sleeps for the next pause, until `deadline` at most.
    mutating func sleep(until deadline: Deadline) {
        let nap = deadline.isNever ? next : min(next, deadline.remaining)
        if nap > 0 {
            var time = timespec(tv_sec: 0, tv_nsec: Int(nap))
            nanosleep(&time, nil)
        }
        next = min(2 * next, 32_000_000)
    }
}

/// The calling thread's entry in a queue.
struct Waiter {
    let queue: WaitQueue
    let place: WaitEntryPlace

    enum Outcome { case notified, cancelled, timedOut }

    /// Sleeps until the entry is notified or cancelled, or `deadline` has passed.
    /// - Parameter spinning: whether it may keep the processor for a while before.
    func sleep(until deadline: Deadline, spinning: Bool = true) -> Outcome {
        var entry = place.load()
        if entry.phase == .awake {
            if spinning { entry = spin(until: deadline) }
            if entry.phase == .awake {
                // Fails when somebody ends the wait just now.
                _ = place.replace(entry, by: entry.changed(to: .asleep))
                entry = place.load()
            }
        }
        while true {
            switch entry.phase {
            case .notified: return .notified
            case .cancelled: return .cancelled
            case .awake, .asleep: if !place.sleepingWord.wait(while: entry.sleepingWord, until: deadline) { return .timedOut }
            }
            entry = place.load()
        }
    }

    /// Looks for a while, unless somebody needs the processor.
    private func spin(until deadline: Deadline) -> WaitEntry {
        let advice = queue.spinAdvice
        guard advice.maySpin else { return place.load() }
        let end = min(monotonicNow() + SpinAdvice.length, deadline.instant)
        repeat {
            for _ in 0..<16 {
                let entry = place.load()
                if entry.phase != .awake {
                    advice.note(paid: true)
                    return entry
                }
                spinPause()
            }
        } while monotonicNow() < end
        advice.note(paid: false)
        return place.load()
    }

    /// Waits on, after a notification that was of no use, in the same place of the queue. As after entering, the state has to be looked at once more.
    func waitAgain() {
        place.store(place.load().changed(to: .awake))
        atomicMemoryFence(ordering: .sequentiallyConsistent)
    }

    /// Gives up the entry.
    /// - Parameter passingOn: whether a notification goes to another, which it must unless it was used.
    /// - Returns: whether it had been notified.
    @discardableResult
    func leave(passingOn: Bool) -> Bool {
        defer { queue.strikeOut() }
        while true {
            let entry = place.load()
            switch entry.phase {
            case .notified:
                if passingOn { queue.notify() }
                // Only now: should the thread die before, its notification is passed on for it.
                place.store(.free)
                return true
            case .awake, .asleep, .cancelled: if place.replace(entry, by: .free) { return false }
            }
        }
    }
}
