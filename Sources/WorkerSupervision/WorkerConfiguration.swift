public import MachineTopology

/// How a worker process comes to be.
public enum StartMethod: Sendable, Hashable {
    /// Forked from a clean, single-threaded server, which is this program's own image started anew. Fast, and nothing that the host's threads do can break
    /// it. Sees no state of the host, and a function that captures anything cannot run in it.
    case forkServer
    /// A copy of the calling process. Its function may capture anything. Only one thread exists in the copy, and it is not the caller's: locks that other
    /// threads hold at that moment stay locked for ever, those of the Swift runtime included, thread-local values are gone, and Swift concurrency does
    /// not work in it. For programs with few threads.
    case fork
    /// This program's image, started anew for each worker: as clean as ``forkServer``, with memory laid out afresh, and slower.
    case spawn
}

/// What becomes of a task whose worker dies.
public enum CrashPolicy: Sendable, Hashable {
    /// It fails with ``WorkerTerminated``.
    case failTask
    /// It is run again by another worker, `attempts` times at most with the first included; then it fails. Only for tasks that may run twice.
    case retry(attempts: Int)
}

/// How workers, and those who wait for them, wait.
public enum WaitStrategy: Sendable, Hashable {
    /// Spin for some microseconds while there are processors to spare, then sleep.
    case adaptive
    /// Sleep at once: least CPU time.
    case blocking
    /// Spin much longer before sleeping: least latency, at the price of a busy processor for each worker.
    case spinning
}

/// A number of bytes.
public struct ByteCount: Sendable, Hashable, Comparable {
    /// The number.
    public let bytes: Int

    /// `n` bytes.
    public static func bytes(_ n: Int) -> ByteCount { ByteCount(bytes: n) }
    /// `n` times 1,024 bytes.
    public static func kibibytes(_ n: Int) -> ByteCount { ByteCount(bytes: n << 10) }
    /// `n` times 1,024² bytes.
    public static func mebibytes(_ n: Int) -> ByteCount { ByteCount(bytes: n << 20) }
    /// `n` times 1,024³ bytes.
    public static func gibibytes(_ n: Int) -> ByteCount { ByteCount(bytes: n << 30) }

    /// Compares the numbers.
    public static func < (a: ByteCount, b: ByteCount) -> Bool { a.bytes < b.bytes }
}

/// How worker processes are made and treated. Every field has a default.
public struct WorkerConfiguration: Sendable {
    /// How workers come to be.
    public var startMethod = StartMethod.forkServer
    /// Which processors each worker may run on. What the kernel reports is checked against what was asked.
    public var pinning = Pinning.none
    /// Where a worker's own memory is taken from.
    public var memoryPolicy = MemoryPolicy.default
    /// Replace a worker after this many tasks; nil: never.
    public var maxTasksPerWorker: Int?
    /// The private memory a worker may have beyond what it starts with. An allocation over it ends the worker, and its task's error says so; one that holds
    /// more after a task is replaced. nil: no limit.
    public var memoryLimit: ByteCount?
    /// Variables set in the worker, beside those inherited.
    public var environment: [String: String]?
    /// The worker's nice value, -20 to 19, absolute. Values below the host's need privilege.
    public var niceness: Int?
    /// What becomes of a task whose worker dies.
    public var onWorkerDeath = CrashPolicy.failTask
    /// How long a task may run from the moment a worker takes it. A worker over it is killed and replaced, and the task fails with ``TaskTimeout``.
    public var taskTimeout: Duration?
    /// How workers wait for tasks, and callers for results.
    public var waiting = WaitStrategy.adaptive

    /// The defaults.
    public init() {}

    /// - Throws: ``UsageError`` for numbers that mean nothing.
    package func validate() throws {
        func check(_ holds: Bool, _ text: @autoclosure () -> String) throws { if !holds { throw UsageError(text()) } }
        if let n = maxTasksPerWorker { try check(n >= 1, "maxTasksPerWorker is \(n); it must be 1 or more, or nil for no limit.") }
        if let limit = memoryLimit {
            try check(limit.bytes >= 1, "memoryLimit is \(limit.bytes) bytes; it must be 1 or more, or nil for no limit.")
        }
        if let n = niceness { try check((-20...19).contains(n), "niceness is \(n); it must be between -20 and 19.") }
        if let timeout = taskTimeout { try check(timeout > .zero, "taskTimeout is \(timeout); it must be positive, or nil for no limit.") }
        if case .retry(let n) = onWorkerDeath { try check(n >= 1, "retry(attempts: \(n)): the first run counts, so it must be 1 or more.") }
        for name in (environment ?? [:]).keys {
            try check(
                !name.isEmpty && !name.utf8.contains(UInt8(ascii: "=")) && !name.utf8.contains(0),
                "\"\(name)\" cannot be the name of a variable.")
        }
    }

    /// The processors of each of `count` workers; nil where a worker may run on any. Reads the machine only where something is asked of it.
    /// - Throws: `PlacementError` for processors and memory nodes that there are not.
    func placements(workers count: Int) throws -> [[Int]?] {
        try memoryPolicy.check(on: .current)
        if case .none = pinning { return Array(repeating: nil, count: count) }
        return try MachineTopology.placements(for: pinning, workers: count, on: .current)
    }
}
