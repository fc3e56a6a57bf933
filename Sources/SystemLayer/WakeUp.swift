import CMultiprocessing
import Glibc

/// A descriptor that wakes a thread waiting in `poll`.
package final class WakeUp: Sendable {
    package let number: Int32

    package init() throws(SystemError) {
        number = try check(mp_event_create(), "making an eventfd")
    }

    package func signal() {
        var one: UInt64 = 1
        _ = write(number, &one, 8)
    }

    package func clear() {
        var count: UInt64 = 0
        _ = read(number, &count, 8)
    }

    deinit { close(number) }
}
