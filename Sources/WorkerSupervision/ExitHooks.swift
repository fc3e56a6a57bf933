import Glibc
import Synchronization
import SystemLayer

/// What happens at the process's normal exit: work that was promised to be finished is, then the fork server and all workers are ended and waited for, so that
/// nothing outlives the program.
package enum ExitHooks {
    static let lock = HostLock()
    private static let registeredIn = Atomic<Int32>(0)
    private nonisolated(unsafe) static var waits: [ObjectIdentifier: @Sendable () -> Void] = [:]  // guarded by `lock`

    /// Has ``run()`` called at this process's exit, once.
    static func register() {
        lock.withLock {
            // A forked child inherits its parent's handlers, which must not act in it.
            if registeredIn.exchange(getpid(), ordering: .relaxed) == getpid() { return }
            atexit { ExitHooks.run() }
        }
    }

    /// Has exit wait for `wait`, until it is taken back.
    static func add(_ key: ObjectIdentifier, _ wait: @escaping @Sendable () -> Void) { lock.withLock { waits[key] = wait } }
    static func remove(_ key: ObjectIdentifier) { lock.withLock { _ = waits.removeValue(forKey: key) } }

    static func run() {
        // Of most workers: nothing is waited for, and the lock would have to be made.
        guard registeredIn.load(ordering: .relaxed) == getpid() else { return }
        let pending = lock.withLock {
            defer { waits = [:] }
            return Array(waits.values)
        }
        for wait in pending { wait() }
        ProcessMonitor.existing?.stop()
    }

    /// In a forked child, with `lock` held: what its parent waits for is not its business.
    static func forgetAfterFork() { waits = [:] }
}
