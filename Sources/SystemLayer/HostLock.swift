public import Synchronization

/// A lock between the threads of one process.
///
/// Not `Synchronization.Mutex`: that one remembers thread ids, and traps in a forked child whose parent had used it. This one is three states of a
/// futex word (Drepper, "Futexes Are Tricky", 2011), and knows nothing of its owner: held across a fork, it is released in both processes.
@usableFromInline
package final class HostLock: @unchecked Sendable {
    // Unchecked: the word is only used atomically.
    @usableFromInline let word: FutexWord = .makeFutexWord()

    @inlinable package init() {}

    deinit { word.deallocate() }

    @inlinable @inline(__always)
    package func lock() {
        if !word.pointee.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged { lockSlowly() }
    }

    @inlinable @inline(__always)
    package func unlock() {
        if word.pointee.exchange(0, ordering: .releasing) == 2 { word.wake() }
    }

    @inlinable @inline(__always)
    package func withLock<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        lock()
        defer { unlock() }
        return try body()
    }

    @inline(never) @usableFromInline
    func lockSlowly() {
        while word.pointee.exchange(2, ordering: .acquiring) != 0 { word.wait(while: 2) }
    }
}
