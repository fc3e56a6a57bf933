import CMultiprocessing
import Glibc

/// A descriptor that wakes a thread waiting in `poll` after a time. Setting it costs one system call, and wakes nobody.
package final class WakeTimer: Sendable {
    package let number: Int32

    package init() throws(SystemError) {
        number = try check(mp_timer_create(), "making a timer")
    }

    /// From now, in place of what it was set to.
    package func set(_ time: Duration) { mp_timer_set(number, max(1, time.nanoseconds)) }

    package func clear() {
        var count: UInt64 = 0
        _ = read(number, &count, 8)
    }

    deinit { close(number) }
}
