public import CMultiprocessing

/// Nanoseconds of the monotonic clock, the same in all processes of the machine.
@inlinable @inline(__always)
package func monotonicNow() -> UInt64 { mp_now() }

extension Duration {
    /// In nanoseconds, held within what 63 bits can say (292 years); negative durations are 0.
    @inlinable package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        if seconds < 0 || attoseconds < 0 { return 0 }
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow
            ? .max : whole.addingReportingOverflow(attoseconds / 1_000_000_000).overflow ? .max : whole + attoseconds / 1_000_000_000
    }
}

/// A point in time after which a wait is given up, or none.
@usableFromInline
package struct Deadline: Sendable, Comparable {
    /// On the monotonic clock; `UInt64.max`: never.
    @usableFromInline package let instant: UInt64

    @inlinable package init(instant: UInt64) { self.instant = instant }

    @inlinable package static var now: Deadline { Deadline(instant: monotonicNow()) }
    // Computed: a stored one would be made on first use, and every use would ask whether it has been.
    @inlinable package static var never: Deadline { Deadline(instant: .max) }

    /// `timeout` from now; `nil` is never.
    @inlinable package init(after timeout: Duration?) {
        guard let timeout else {
            self = .never
            return
        }
        let (sum, overflow) = monotonicNow().addingReportingOverflow(UInt64(timeout.nanoseconds))
        instant = overflow ? .max : sum
    }

    @inlinable package var isNever: Bool { instant == .max }

    /// What is left, for a system call: -1 for never, 0 when it has passed.
    @inlinable package var remaining: Int64 {
        if isNever { return -1 }
        let now = monotonicNow()
        return now >= instant ? 0 : Int64(min(instant - now, UInt64(Int64.max)))
    }

    @inlinable package var hasPassed: Bool { !isNever && monotonicNow() >= instant }

    @inlinable package static func < (a: Deadline, b: Deadline) -> Bool { a.instant < b.instant }
}

/// Tells the core that the calling thread is in a loop that waits for another's write.
@inlinable @inline(__always)
package func spinPause() { mp_pause() }

/// Has the core fetch the cache line of `address`, which is about to be written, while it goes on with other things.
@inlinable @inline(__always)
package func prefetch(_ address: UnsafeRawPointer) { mp_prefetch(address) }
