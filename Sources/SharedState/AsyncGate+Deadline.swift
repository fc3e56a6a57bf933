import SystemLayer

extension AsyncGate {
    static func whenFree<R>(
        _ offset: UInt64, until deadline: Deadline, isolation: isolated (any Actor)?,
        waitUntilFree: @escaping @Sendable (WaitCancellation) throws -> Void, _ attempt: (_ taken: () -> Void) throws -> R?
    ) async throws -> R? {
        try Task.checkCancellation()
        if let result = try attempt({}) { return result }
        if deadline.hasPassed { return nil }
        try await enter(offset)
        var isInside = true
        // The next may wait for the lock as soon as this one has it.
        func leave() {
            if isInside { Self.leave(offset) }
            isInside = false
        }
        defer { leave() }
        while true {
            let isLast = deadline.hasPassed
            if let result = try attempt(leave) { return result }
            if isLast { return nil }
            try await AsyncWait.run(waitUntilFree)
        }
    }
}
