import Synchronization
import SystemLayer

/// Ends a wait of another thread of this process, now or as soon as it begins.
package final class WaitCancellation: Sendable {
    private enum Sleeper {
        case none
        /// It stays that thread's until it is unwatched.
        case entry(WaitEntryPlace)
        /// A word that others may sleep on, too.
        case word(FutexWord)
    }

    private let flag = Atomic<Bool>(false)
    private let lock = HostLock()
    // Guarded by `lock`.
    @exclusivity(unchecked) private nonisolated(unsafe) var sleeper = Sleeper.none

    package init() {}

    package var isCancelled: Bool { flag.load(ordering: .sequentiallyConsistent) }

    /// Does not block. An entry that has been notified stays so: its thread has what it waited for, or finds the flag.
    package func cancel() {
        flag.store(true, ordering: .sequentiallyConsistent)
        // The flag, then the entry; its thread, the entry, then the flag.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        lock.lock()
        defer { lock.unlock() }
        switch sleeper {
        case .none: break
        case .word(let word): word.wakeAll()
        case .entry(let place):
            while true {
                let entry = place.load()
                if !entry.isWaiting || place.end(entry, as: .cancelled) { return }
            }
        }
    }

    /// The caller has to look at ``isCancelled`` after this, and after each time that its entry becomes a waiting one.
    func watch(_ place: WaitEntryPlace) { set(.entry(place)) }
    /// The caller has to look at ``isCancelled`` after this, and now and then: a wake-up just before it sleeps is in vain.
    func watch(_ word: FutexWord) { set(.word(word)) }
    func unwatch() { set(.none) }

    private func set(_ new: Sleeper) {
        lock.lock()
        defer { lock.unlock() }
        sleeper = new
    }
}
