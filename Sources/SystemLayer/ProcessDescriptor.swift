import CMultiprocessing
import Glibc
import Synchronization

/// How a process ended.
public enum TerminationStatus: Sendable, Equatable, Hashable, Codable {
    /// It exited by itself, with this code (0 to 255).
    case exited(Int32)
    /// This signal killed it.
    case signaled(Int32)
}

extension TerminationStatus: CustomStringConvertible {
    /// For messages: "exited with code 1", "was killed by signal 9 (Killed)".
    public var description: String {
        switch self {
        case .exited(let code): "exited with code \(code)"
        case .signaled(let signal): "was killed by signal \(signal) (\(String(cString: strsignal(signal))))"
        }
    }
}

/// A process by its pidfd: signals through it can only ever reach that process, however its number is reused.
package final class ProcessDescriptor: Sendable {
    package let processIdentifier: Int32
    /// Readable (for `poll`) once the process has ended.
    package let number: Int32
    private let standing = Atomic<UInt8>(ProcessDescriptor.untouched)
    private static let untouched: UInt8 = 0, known: UInt8 = 1, withdrawn: UInt8 = 2

    /// Takes over the open pidfd `number`.
    package init(owning number: Int32, processIdentifier: Int32) {
        self.number = number
        self.processIdentifier = processIdentifier
    }

    /// Sends `signal`; does nothing when the process has ended.
    /// - Returns: false, without having sent it, when another process is taking this one's place, which it may have been meant for.
    @discardableResult
    package func send(signal: Int32) -> Bool {
        guard makeKnown() else { return false }
        _ = mp_pidfd_signal(number, signal)
        return true
    }

    /// Says that somebody outside knows of this process, or acts on it: from here on its end is not made good in silence.
    /// - Returns: false when another process is taking its place already.
    @discardableResult
    package func makeKnown() -> Bool {
        standing.compareExchange(expected: Self.untouched, desired: Self.known, ordering: .acquiringAndReleasing).original != Self.withdrawn
    }

    /// Claims the right to let another process take the place of this one, which has ended before it began. Nobody may know of it.
    package func withdraw() -> Bool {
        standing.compareExchange(expected: Self.untouched, desired: Self.withdrawn, ordering: .acquiringAndReleasing).exchanged
    }

    /// Waits for a child of the calling process to end, and reaps it.
    /// - Returns: nil when it still runs (`wait` false), or when somebody else has reaped it (`wait` true).
    package func reap(wait: Bool) -> TerminationStatus? {
        var ending = mp_ending()
        guard mp_pidfd_reap(number, wait, &ending) == 1 else { return nil }
        return ending.exited != 0 ? .exited(ending.code) : .signaled(ending.code)
    }

    /// Waits until the process has ended, or `deadline`. Whose child it is does not matter.
    /// - Returns: false when the deadline has passed.
    package func waitForEnd(until deadline: Deadline) -> Bool {
        while true {
            let remaining = deadline.remaining
            // Rounded up: what is left of a millisecond is waited for.
            let milliseconds = remaining <= 0 ? remaining : min((remaining - 1) / 1_000_000 + 1, Int64(Int32.max))
            if waitForEnd(milliseconds: Int32(milliseconds)) { return true }
            if deadline.hasPassed { return false }
        }
    }

    /// Waits until the process has ended, at most `milliseconds` (-1: for ever). Whose child it is does not matter.
    package func waitForEnd(milliseconds: Int32) -> Bool {
        var watched = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        while true {
            let n = poll(&watched, 1, milliseconds)
            if n > 0 { return true }
            if n == 0 { return false }
            if errno != EINTR { return true }
        }
    }

    deinit { _ = close(number) }
}
