public import CMultiprocessing
public import Glibc
public import Synchronization

/// A 32-bit word that threads of any process mapping it can sleep on.
@usableFromInline
package typealias FutexWord = UnsafeMutablePointer<Atomic<UInt32>>

extension UnsafeMutablePointer where Pointee == Atomic<UInt32> {
    /// Sleeps while the word is `expected`, until woken or `deadline`. May return early for no reason: look again.
    /// - Returns: false when the deadline has passed.
    @discardableResult @inlinable
    package func wait(while expected: UInt32, until deadline: Deadline = .never) -> Bool {
        let remaining = deadline.remaining
        if remaining == 0 { return false }
        return mp_futex_wait(self, expected, remaining) != -ETIMEDOUT
    }

    /// Wakes up to `count` sleepers. A system call even when nobody sleeps: call it only when somebody has announced that.
    @discardableResult @inlinable
    package func wake(_ count: Int32 = 1) -> Int32 { mp_futex_wake(self, count) }

    @inlinable package func wakeAll() { mp_futex_wake(self, Int32.max) }

    /// A word of this process's own memory.
    @inlinable package static func makeFutexWord(_ value: UInt32 = 0) -> Self {
        let word = Self.allocate(capacity: 1)
        word.initialize(to: Atomic(value))
        return word
    }
}
