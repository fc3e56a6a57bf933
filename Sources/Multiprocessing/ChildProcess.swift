import BinaryCoding
import Glibc
import Synchronization
import SystemLayer
import WorkTransfer
import WorkerSupervision

/// A process of its own that runs one function, and gives back what it returns.
///
/// ```swift
/// let p = ChildProcess(count, 100_000_000)
/// try p.start()
/// print(try p.result())
/// ```
///
/// The function is a function reference, or a closure that captures nothing; its arguments and its result are `Codable`. With the start method
/// ``StartMethod/fork`` the function may capture anything, and runs in a copy of the calling process. The process dies with its host, and with the host's normal
/// exit. Dropping a `ChildProcess` does not end it.
public final class ChildProcess<Output: Sendable>: Sendable {
    /// What it is called in messages: `Process-1`, `Process-2`, … unless given.
    public let name: String
    private let core: ChildCore
    private let future: Future<Output>

    private init(
        _ body: ChildCore.Body, name: String?, configuration: WorkerConfiguration, decode: @escaping @Sendable (Outcome) throws -> Output
    ) {
        self.name = name ?? "Process-\(processCounter.wrappingAdd(1, ordering: .relaxed).newValue)"
        future = Future(in: nil, decode: decode)
        core = ChildCore(body, configuration: configuration, finished: future)
    }

    /// Describes a process that calls `function` with the arguments; ``start()`` makes it.
    public convenience init<each Argument: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each Argument) throws -> Output, _ argument: repeat each Argument,
        name: String? = nil, configuration: WorkerConfiguration = .init()
    ) where Output: Codable {
        let arguments = (repeat each argument)
        let body = ChildCore.Body(Invocation(function)) { writer in
            try Invocation<repeat each Argument, Output>.encodeArguments(repeat each arguments, to: writer)
        } run: { writer in
            let result = try function(repeat each arguments)
            do {
                try encodeBinary(result, to: writer)
            } catch {
                throw TransferError.cannotEncode("the result, \(Output.self), of a child process could not be encoded: \(error)")
            }
        }
        self.init(body, name: name, configuration: configuration) { outcome in
            try outcome.decoded { try Invocation<repeat each Argument, Output>.decodeOutput(from: &$0) }
        }
    }

    /// Describes a process that calls `function` with the arguments; ``start()`` makes it.
    public convenience init<each Argument: Codable & Sendable>(
        _ function: @escaping @Sendable (repeat each Argument) throws -> Void, _ argument: repeat each Argument,
        name: String? = nil, configuration: WorkerConfiguration = .init()
    ) where Output == Void {
        let arguments = (repeat each argument)
        let body = ChildCore.Body(VoidInvocation(function)) { writer in
            try VoidInvocation<repeat each Argument>.encodeArguments(repeat each arguments, to: writer)
        } run: { _ in
            try function(repeat each arguments)
        }
        self.init(body, name: name, configuration: configuration) { outcome in try outcome.decoded { _ in } }
    }

    /// The same with the function as a trailing closure.
    @_disfavoredOverload
    public convenience init<each Argument: Codable & Sendable>(
        _ argument: repeat each Argument, name: String? = nil, configuration: WorkerConfiguration = .init(),
        body: @escaping @Sendable (repeat each Argument) throws -> Output
    ) where Output: Codable {
        self.init(body, repeat each argument, name: name, configuration: configuration)
    }

    /// The same with the function as a trailing closure.
    @_disfavoredOverload
    public convenience init<each Argument: Codable & Sendable>(
        _ argument: repeat each Argument, name: String? = nil, configuration: WorkerConfiguration = .init(),
        body: @escaping @Sendable (repeat each Argument) throws -> Void
    ) where Output == Void {
        self.init(body, repeat each argument, name: name, configuration: configuration)
    }

    /// Starts the process; its function begins to run. Blocks a fraction of a millisecond; at the first start of a program, as long as its image takes to load.
    /// - Throws: ``UsageError`` at a second call; `PlacementError`; ``TransferError`` for a function or arguments that cannot travel; the system's error when
    ///   there can be no more processes. Nothing is left half made.
    public func start() throws { try core.start() }

    /// Waits for the process's end, however it ends. Blocks the calling thread.
    /// - Throws: ``UsageError`` before the start.
    public func join() throws { _ = try core.awaitEnd(until: .never) }

    /// Waits for the process's end at most `timeout`. Returns whether it has ended.
    public func join(timeout: Duration) throws -> Bool { try core.awaitEnd(until: Deadline(after: timeout)) }

    /// Waits for the end, and gives what the function returned.
    /// - Throws: what the function threw; ``WorkerTerminated`` when the process ended in any other way than by returning or throwing; ``UsageError`` before
    ///   the start.
    public func result() throws -> Output {
        _ = try core.awaitEnd(until: .never)
        return try future.waitForResult(until: .never, nil).get()
    }

    /// As ``result()``, awaited without blocking a thread.
    public var value: Output {
        get async throws {
            _ = try core.completion()
            return try await future.value
        }
    }

    /// How it ended; nil before its end. A function that returned makes it `.exited(0)`, one that threw `.exited(1)`.
    public var status: TerminationStatus? { core.status }
    /// Its pid, also after its end; nil before the start.
    public var processIdentifier: Int32? { core.processIdentifier }
    /// Whether it runs: false before the start and after the end.
    public var isAlive: Bool { core.isAlive }

    /// Sends SIGINT. Does nothing before the start and after the end, as the two others.
    public func interrupt() { core.send(signal: SIGINT) }
    /// Sends SIGTERM.
    public func terminate() { core.send(signal: SIGTERM) }
    /// Sends SIGKILL, which cannot be ignored.
    public func kill() { core.send(signal: SIGKILL) }
}

/// The name of the type in Python. In a file that imports Foundation too, write ``ChildProcess``.
public typealias Process = ChildProcess

private let processCounter = Atomic<Int>(0)
