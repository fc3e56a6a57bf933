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
        case made, starting, running(ProcessDescriptor), ended(ProcessDescriptor, TerminationStatus)
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
            functionName = { FunctionCatalog.name(of: invocation) }
        }
    }

    private let lock = HostLock()
    private let body: Body
    private let configuration: WorkerConfiguration
    private var phase = Phase.made
    private var retained: [AnyObject] = []
    /// The process that has started it, which alone hears of its end.
    private var host: Int32 = 0
    /// What it was started with, until it has ended.
    private var launch: LaunchBlock?
    /// Whether what the process has said has been taken.
    private var isSettled = false
    private var hasTimedOut = false
    package let finished: TaskCore
    /// Complete once it is known how the process ended, which may be a moment after it has.
    private let statusKnown = TaskCore()

    /// - Parameter finished: completed with the outcome.
    package init(_ body: Body, configuration: WorkerConfiguration, finished: TaskCore) {
        self.body = body
        self.finished = finished
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
            (phase, host) = (.starting, getpid())
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
        if configuration.startMethod == .fork {
            try startCopy(pinnedTo: placement, in: arena)
        } else {
            let function = try body.entry(arena)
            let monitor = try ProcessMonitor.shared()
            let process = try monitor.reserve(freshImage: configuration.startMethod == .spawn)
            let launch = process.launch
            do {
                try prepare(launch, placement, monitor)
                (launch.header.pointee.function, launch.header.pointee.functionBytes) = (function.offset, function.size)
                let objects = try launch.setArguments(body.encodeArguments)
                lock.withLock { (retained, self.launch) = (objects, launch) }
                try monitor.start(process, ignoresInterrupt: false, owner: owner)
            } catch {
                lock.withLock { (retained, self.launch) = ([], nil) }
                monitor.discard(process)
                throw error
            }
        }
        if let timeout = configuration.taskTimeout {
            try ProcessMonitor.shared().perform(at: Deadline(after: timeout), for: self) { [weak self] in self?.timeOut() }
        }
    }

    private func startCopy(pinnedTo placement: [Int]?, in arena: Arena) throws {
        let identity = try ProcessTable.enter(parent: CurrentProcess.identity(in: arena), in: arena)
        var made: LaunchBlock?
        do {
            let launch = try LaunchBlock(for: identity, in: arena)
            made = launch
            let monitor = try ProcessMonitor.shared()
            try prepare(launch, placement, monitor)
            lock.withLock { self.launch = launch }
            try monitor.fork(as: identity, in: arena, owner: owner) { [body] in runWorker(launch) { try body.run($0) } }
        } catch {
            lock.withLock { launch = nil }
            made?.free()
            ProcessTable.reclaim(identity, in: arena)
            throw error
        }
    }

    private func prepare(_ launch: LaunchBlock, _ placement: [Int]?, _ monitor: ProcessMonitor) throws {
        launch.header.pointee.role = LaunchBlock.Role.child.rawValue
        let directory = ThisProcess.directory
        try launch.setSettings(
            WorkerSettings(configuration, processors: placement, directory: monitor.mustBeTold(directory) ? directory : nil))
        // What was printed before the start is seen before what the process prints.
        ThisProcess.flushOutput()
    }

    private var owner: ServedProcess.Owner {
        .init(runs: { [self] descriptor in lock.withLock { phase = .running(descriptor) } }, ended: { [self] in ended($0) })
    }

    private func timeOut() {
        guard isAlive else { return }
        lock.withLock { hasTimedOut = true }
        send(signal: SIGKILL)
    }

    // MARK: Its end

    /// Called by the monitor: the process has been reaped, and this is how it ended.
    private func ended(_ status: TerminationStatus) {
        if configuration.taskTimeout != nil { ProcessMonitor.existing?.cancelTimers(of: self) }
        lock.lock()
        guard case .running(let descriptor) = phase else { preconditionFailure("a process has ended that nobody was told of") }
        phase = .ended(descriptor, status)
        let outcome = takeOutcome()
        let launch = self.launch
        let arguments = retained
        (self.launch, retained) = (nil, [])
        // It may have died before it had them.
        let isMissed = outcome == nil && !isSettled
        lock.unlock()
        if isMissed { for case let object as any ReliedOnObject in arguments { object.receiverDied(descriptor.processIdentifier) } }
        if let launch {
            ProcessTable.reclaim(launch.identity, in: launch.arena)
            launch.free()
        }
        // Unless whoever waited for the end has taken what it had said already.
        if let outcome {
            finished.complete(outcome)
        } else if !lock.withLock({ isSettled }) {
            finished.complete(.failure(failure(descriptor, status)))
        }
        statusKnown.complete(.made(()))
    }

    /// What there is to say of a process that has said nothing.
    private func failure(_ descriptor: ProcessDescriptor, _ status: TerminationStatus) -> any Error {
        if lock.withLock({ hasTimedOut }) { return TaskTimeout("The process ran for longer than its taskTimeout, and was ended.") }
        return WorkerTerminated(status: status, processIdentifier: descriptor.processIdentifier, task: body.functionName())
    }

    /// What the process has said, which can be taken once, when it has ended: by who sees the end first, or is told of it. Under the lock.
    private func takeOutcome() -> Outcome? {
        guard !isSettled, let (state, payload) = launch?.takeOutcome(), let payload else { return nil }
        isSettled = true
        switch state {
        case .value: return .value(payload)
        case .error, .notStarted: return .error(payload)
        case .none: return nil
        }
    }

    /// Waits for the process's end. A process that has said how its work came out is not waited for any longer than it lives: not until it has been reaped, and
    /// that has come round.
    /// - Returns: false when `deadline` passes first.
    /// - Throws: ``UsageError`` before the start.
    package func awaitEnd(until deadline: Deadline) throws -> Bool {
        guard try completion().outcome == nil else { return true }
        if case .running(let descriptor) = lock.withLock({ phase }) {
            guard descriptor.waitForEnd(until: deadline) else { return false }
            // Under the lock, since the launch is freed by who hears of the end.
            if let outcome = lock.withLock({ takeOutcome() }) { finished.complete(outcome) }
        }
        // It has said nothing: how it ended has to be heard. Or it was replaced, or is about to be.
        return finished.wait(until: deadline) != nil
    }

    // MARK: Its life

    /// The outcome, which comes with the process's end.
    /// - Throws: ``UsageError`` before the start, and in a fork of the process that has started it.
    package func completion() throws -> TaskCore {
        if case .made = lock.withLock({ phase }) { throw UsageError("This process has not been started: call start() first.") }
        if finished.outcome == nil, isForeign {
            throw UsageError(
                "This process belongs to another one, of which the calling one is a fork. Start a process of this one's own instead.")
        }
        return finished
    }

    /// Its pid; nil before the start.
    package var processIdentifier: Int32? {
        while true {
            switch lock.withLock({ phase }) {
            case .made, .starting: return nil
            case .ended(let descriptor, _): return descriptor.processIdentifier
            case .running(let descriptor) where descriptor.makeKnown(): return descriptor.processIdentifier
            case .running: sched_yield()  // another process is taking this one's place at this moment
            }
        }
    }

    /// How it ended; nil before its end. Waits for that to come round where the end itself has been seen already: for a fraction of a millisecond.
    package var status: TerminationStatus? {
        if finished.outcome == nil { return nil }
        // A fork of its host never hears.
        if !isForeign { _ = statusKnown.wait(until: .never) }
        if case .ended(_, let status) = lock.withLock({ phase }) { return status }
        return nil
    }

    private var isForeign: Bool { lock.withLock { host } != getpid() }

    package var isAlive: Bool { if case .running = lock.withLock({ phase }) { finished.outcome == nil } else { false } }

    package func send(signal: Int32) {
        while isAlive, case .running(let descriptor) = lock.withLock({ phase }), !descriptor.send(signal: signal) { sched_yield() }
    }
}
