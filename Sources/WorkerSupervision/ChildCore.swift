package import BinaryCoding
import Glibc
import MachineTopology
import SharedState
package import SystemLayer
package import WorkTransfer

/// One child process that runs one function, as its host sees it.
package final class ChildCore: @unchecked Sendable {
    // Unchecked: `lock` guards everything that changes.
    private enum Phase {
        case made, starting, running(ProcessDescriptor), ended(ProcessDescriptor?, TerminationStatus)
    }

    /// What the child is to run: by reference, or, in a copy of this process, as it is.
    package struct Body: Sendable {
        let entry: @Sendable (Arena) throws -> FunctionCatalog.Entry
        let encodeArguments: @Sendable (ByteWriter) throws -> Void
        let run: @Sendable (ByteWriter) throws -> Void
        let functionName: @Sendable () -> String

        /// - Parameter run: calls the function with its arguments, and encodes what it returns.
        package init(
            _ invocation: some HostInvocation & Sendable, encodeArguments: @escaping @Sendable (ByteWriter) throws -> Void,
            run: @escaping @Sendable (ByteWriter) throws -> Void
        ) {
            entry = { try FunctionCatalog.entry(for: invocation, in: $0) }
            self.encodeArguments = encodeArguments
            self.run = run
            functionName = { invocation.functionName }
        }
    }

    private let lock = HostLock()
    private let body: Body
    private let configuration: WorkerConfiguration
    private var phase = Phase.made
    private var retained: [AnyObject] = []
    /// Of a process that ended before `start` knew its descriptor: completes the outcome.
    private var endedEarly: (@Sendable (Int32) -> Void)?
    private var hasTimedOut = false
    package let finished = TaskCore()

    package init(_ body: Body, configuration: WorkerConfiguration) {
        self.body = body
        self.configuration = configuration
    }

    // MARK: Starting

    /// - Throws: ``UsageError`` at the second call, and what prevents the process from starting; then it may be tried again.
    package func start() throws {
        try configuration.validate()
        try lock.withLock {
            guard case .made = phase else {
                throw UsageError("This process has been started before. A process runs once: make another one.")
            }
            phase = .starting
        }
        do {
            try startProcess()
        } catch {
            lock.withLock { phase = .made }
            throw error
        }
    }

    private func startProcess() throws {
        let placement = try configuration.placements(workers: 1)[0]
        let arena = try Arena.current()
        let identity = try ProcessTable.enter(parent: CurrentProcess.identity(in: arena), in: arena)
        var made: LaunchBlock?
        do {
            let launch = try LaunchBlock(.child, for: identity, in: arena)
            made = launch
            let monitor = try ProcessMonitor.shared()
            let directory = ThisProcess.directory
            try launch.setSettings(
                WorkerSettings(configuration, processors: placement, directory: monitor.mustBeTold(directory) ? directory : nil))
            // What was printed before the start is seen before what the process prints.
            ThisProcess.flushOutput()
            let ended: @Sendable (TerminationStatus) -> Void = { self.ended(launch, $0) }
            let descriptor: ProcessDescriptor
            if configuration.startMethod == .fork {
                descriptor = try monitor.fork(as: identity, in: arena, ended: ended) { [body] in runWorker(launch) { try body.run($0) } }
            } else {
                let function = try body.entry(arena)
                (launch.header.pointee.function, launch.header.pointee.functionBytes) = (function.offset, function.size)
                let objects = try launch.setArguments(body.encodeArguments)
                lock.withLock { retained = objects }
                descriptor = try monitor.startWorker(
                    freshImage: configuration.startMethod == .spawn, ignoresInterrupt: false, launch: UInt64(launch.offset), ended: ended)
            }
            let early = lock.withLock {
                switch phase {
                case .ended(_, let status): phase = .ended(descriptor, status)
                default: phase = .running(descriptor)
                }
                defer { endedEarly = nil }
                return endedEarly
            }
            early?(descriptor.processIdentifier)
            if let timeout = configuration.taskTimeout {
                monitor.perform(at: Deadline(after: timeout), for: self) { [weak self] in self?.timeOut() }
            }
        } catch {
            made?.free()
            ProcessTable.reclaim(identity, in: arena)
            throw error
        }
    }

    private func timeOut() {
        lock.withLock {
            guard case .running(let descriptor) = phase else { return }
            hasTimedOut = true
            descriptor.send(signal: SIGKILL)
        }
    }

    private func ended(_ launch: LaunchBlock, _ status: TerminationStatus) {
        let (state, payload) = launch.takeOutcome()
        ProcessTable.reclaim(launch.identity, in: launch.arena)
        launch.free()
        if configuration.taskTimeout != nil { ProcessMonitor.existing?.cancelTimers(of: self) }
        let complete: @Sendable (Int32) -> Void = { self.complete(state, payload, status, processIdentifier: $0) }
        let processIdentifier: Int32? = lock.withLock {
            retained = []
            guard case .running(let descriptor) = phase else {
                // `start` has not been told yet which process it was: the outcome waits for that.
                phase = .ended(nil, status)
                endedEarly = complete
                return nil
            }
            phase = .ended(descriptor, status)
            return descriptor.processIdentifier
        }
        if let processIdentifier { complete(processIdentifier) }
    }

    private func complete(_ state: LaunchBlock.OutcomeState, _ payload: Payload?, _ status: TerminationStatus, processIdentifier: Int32) {
        switch (state, payload) {
        case (.none, _) where lock.withLock({ hasTimedOut }):
            finished.complete(.failure(TaskTimeout("The process ran for longer than its taskTimeout, and was ended.")))
        case (.value, .some(let payload)): finished.complete(.value(payload))
        case (.error, .some(let payload)), (.notStarted, .some(let payload)): finished.complete(.error(payload))
        default:
            finished.complete(
                .failure(WorkerTerminated(status: status, processIdentifier: processIdentifier, task: body.functionName()))
            )
        }
    }

    // MARK: Its life

    /// The outcome, which comes with the process's end.
    /// - Throws: ``UsageError`` before the start.
    package func completion() throws -> TaskCore {
        if case .made = lock.withLock({ phase }) { throw UsageError("This process has not been started: call start() first.") }
        return finished
    }

    package var descriptor: ProcessDescriptor? {
        switch lock.withLock({ phase }) {
        case .made, .starting: nil
        case .running(let descriptor): descriptor
        case .ended(let descriptor, _): descriptor
        }
    }

    package var status: TerminationStatus? {
        // The outcome is there a moment after the phase has changed: whoever sees the end may ask for it.
        if case .ended(_, let status) = lock.withLock({ phase }), finished.outcome != nil { status } else { nil }
    }

    package var isAlive: Bool { if case .running = lock.withLock({ phase }) { true } else { false } }

    package func send(signal: Int32) { if isAlive { descriptor?.send(signal: signal) } }
}
