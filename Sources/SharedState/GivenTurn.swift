import Glibc
import Synchronization
import SystemLayer

/// A turn at a lock that a thread has got for a task. The task may not run for long, where its executor is busy with others; it then loses the turn, so that
/// processes that have nothing to do with that do not wait for it.
final class GivenTurn: Sendable {
    private enum State: UInt8, AtomicRepresentable { case given, taken, takenBack }

    private let state = Atomic(State.given)

    var isGiven: Bool { state.load(ordering: .acquiring) == .given }

    /// Makes the turn the task's own.
    /// - Returns: false when it has lost it.
    func take() -> Bool { end(as: .taken) }

    /// - Returns: false when the task has it.
    func takeBack() -> Bool { end(as: .takenBack) }

    private func end(as new: State) -> Bool {
        state.compareExchange(expected: .given, desired: new, ordering: .acquiringAndReleasing).exchanged
    }
}

/// The turns that have been given, for a time that is long beside a task's waking, and short for who waits: 10 to 20 ms.
enum GivenTurns {
    private struct Entry {
        let turn: GivenTurn
        let takeBack: @Sendable () -> Void
    }

    static let lock = HostLock()
    // Guarded by `lock`.
    private nonisolated(unsafe) static var fresh: [Entry] = []
    private nonisolated(unsafe) static var old: [Entry] = []
    private nonisolated(unsafe) static var isServed = false

    /// - Parameter takeBack: called when the time is over and `turn` has not been taken, which may become so just then. It must not keep the object alive.
    static func watch(_ turn: GivenTurn, takeBack: @escaping @Sendable () -> Void) {
        let isToStart = lock.withLock {
            fresh.append(Entry(turn: turn, takeBack: takeBack))
            defer { isServed = true }
            return !isServed
        }
        // Where there can be no thread, the next to be given has one, or nobody loses a turn.
        if isToStart { do { try AsyncWait.onThread(serve) } catch { lock.withLock { isServed = false } } }
    }

    private static let time: useconds_t = 10_000

    @Sendable private static func serve() {
        while true {
            usleep(time)
            let (due, isLast) = lock.withLock {
                let due = old
                (old, fresh) = (fresh, [])
                if due.isEmpty, old.isEmpty { isServed = false }
                return (due, !isServed)
            }
            for entry in due where entry.turn.isGiven { entry.takeBack() }
            if isLast { return }
        }
    }

    /// Under the lock.
    static func forgetAfterFork() {
        for entry in fresh + old { _ = Unmanaged.passRetained(entry.turn) }
        (fresh, old, isServed) = ([], [], false)
    }
}
