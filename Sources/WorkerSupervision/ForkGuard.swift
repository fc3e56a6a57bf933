import SharedState
package import SystemLayer

/// Forks this process so that the copy can go on: the child has one thread, so whatever another thread was in the middle of stays so for ever there. All of this
/// library's own locks are therefore held across the fork by the thread that forks, and are released in both.
package enum ForkGuard {
    private static let lock = HostLock()
    private nonisolated(unsafe) static var others: [(lock: HostLock, forget: @Sendable () -> Void)] = []  // guarded by `lock`

    /// Has `lock` held across forks, and `forget` called in each child while it is, to drop what is its parent's alone.
    package static func add(_ other: HostLock, forget: @escaping @Sendable () -> Void) {
        // Once: a forked child has its parent's list, and a lock is not taken twice.
        lock.withLock { if !others.contains(where: { $0.lock === other }) { others.append((other, forget)) } }
    }

    /// - Returns: nil in the child, which is known as `identity` from then on.
    static func fork(as identity: ProcessIdentity, in arena: Arena) -> Result<ProcessDescriptor?, SystemError> {
        lock.withLock {
            var guarded = others
            guarded.append((ProcessMonitor.sharedLock, { ProcessMonitor.forgetAfterFork() }))
            guarded.append((ExitHooks.lock, { ExitHooks.forgetAfterFork() }))
            guarded.append((FunctionCatalog.lock, {}))
            guarded += ForkedState.guarded
            for (lock, _) in guarded { lock.lock() }
            defer { for (lock, _) in guarded.reversed() { lock.unlock() } }
            let result = HandleRegistry.whileForking(identity, in: arena) { Result { () throws(SystemError) in try forkProcess() } }
            if case .success(.none) = result {
                ThreadRecords.forgetAfterFork()
                CurrentProcess.begin(as: identity, in: arena)
                for (_, forget) in guarded { forget() }
            }
            return result
        }
    }
}
