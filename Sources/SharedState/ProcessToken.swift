import SystemLayer

/// What stands in a word for this process and none of its threads: for what a task holds between two of its steps. It is live as long as the process.
enum ProcessToken {
    static let lock = HostLock()
    // Guarded by `lock`.
    @exclusivity(unchecked) private nonisolated(unsafe) static var known: (process: UInt32, token: UInt32)?

    static func current(in arena: Arena) -> UInt32 {
        lock.withLock {
            let process = CurrentProcess.identity(in: arena).bits
            // A forked child has its parent's.
            if let known, known.process == process { return known.token }
            let token = ThreadRecords.claim(in: arena).token
            known = (process, token)
            return token
        }
    }
}
