public import SystemLayer

/// The worker that ran a task, or a child process, ended without finishing its work: a trap, `exit` or `_exit` in the body, or a signal.
///
/// The work may have happened in part. Only this one task is lost: the worker is replaced.
public struct WorkerTerminated: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// How the process ended. A process that its host had to give up on, because nobody was left to ask, counts as killed.
    public let status: TerminationStatus
    /// The worker's pid. It may belong to another process by now.
    public let processIdentifier: Int32
    /// What it was running, in words.
    public let task: String

    package init(status: TerminationStatus, processIdentifier: Int32, task: String) {
        self.status = status
        self.processIdentifier = processIdentifier
        self.task = task
    }

    /// What happened, to what, and what to do.
    public var description: String {
        "The worker process \(processIdentifier) \(status) while running \(task). That task is lost; look for the crash in the function itself."
    }
}

/// A wait, or a task, took longer than it was allowed to.
public struct TaskTimeout: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// What was waited for, and whether it goes on.
    public let description: String

    package init(_ description: String) { self.description = description }
}

/// A pool or executor that takes no more work.
public enum PoolError: Error, Sendable, CustomStringConvertible {
    /// It was closed, terminated or shut down.
    case shutDown
    /// Its workers cannot be started: they died again and again at their start, or their initializer threw `cause`.
    case broken(cause: any Error)

    /// What happened, and what to do.
    public var description: String {
        switch self {
        case .shutDown: "The pool has been shut down and takes no more work. Make another one."
        case .broken(let cause): "The pool is broken, because its workers do not start: \(cause)"
        }
    }
}

/// A call that cannot be right: a size below 1, a process started twice or joined before its start.
public struct UsageError: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// What is wrong, and what would be right.
    public let description: String

    package init(_ description: String) { self.description = description }
}
