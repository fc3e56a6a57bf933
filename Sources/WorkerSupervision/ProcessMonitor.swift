import Glibc
import SharedState
import SystemLayer
import Synchronization

/// The one thread of a host that starts its fork server and its `.fork` children, and learns of every end.
///
/// It lives as long as the process, because the kernel ties "die with your parent" to the thread that forked. What it calls must be quick.
package final class ProcessMonitor: @unchecked Sendable {
    // Unchecked: `lock` guards everything that changes, but for what only the monitor's own thread touches.
    private struct Child {
        let descriptor: ProcessDescriptor
        let ended: @Sendable (TerminationStatus) -> Void
    }

    let lock = HostLock()
    private let wakeUp: WakeUp
    /// When spares are due.
    let timer: WakeTimer
    private var commands: [@Sendable (ProcessMonitor) -> Void] = []
    private var timers: [(owner: ObjectIdentifier, deadline: Deadline, body: @Sendable () -> Void)] = []
    private var forked: [Child] = []
    /// What the server makes and has made, by the tag of the request.
    var served: [UInt64: ServedProcess] = [:]
    var nextTag: UInt64 = 1
    var spares = Spares()
    private(set) var server: ForkServer?
    private var serverDirectory: String?
    private(set) var isStopped = false

    private init() throws {
        wakeUp = try WakeUp()
        timer = try WakeTimer()
        // Before there is any other process that could look for it.
        DescriptorDepot.open()
        try startThread(name: "mp-monitor", stackBytes: 8 << 20) { [self] in run() }
    }

    // MARK: The process's own

    static let sharedLock = HostLock()
    private nonisolated(unsafe) static var sharedMonitor: ProcessMonitor?  // guarded by `sharedLock`

    package static func shared() throws -> ProcessMonitor {
        try sharedLock.withLock {
            if let monitor = sharedMonitor { return monitor }
            let monitor = try ProcessMonitor()
            sharedMonitor = monitor
            ExitHooks.register()
            return monitor
        }
    }

    static var existing: ProcessMonitor? { sharedLock.withLock { sharedMonitor } }

    /// In a forked child, with `sharedLock` held: the parent's monitor is not its own.
    static func forgetAfterFork() {
        sharedMonitor?.server?.abandonAfterFork()
        // Leaked on purpose: its locks may be held by threads that do not exist here.
        if let monitor = sharedMonitor { _ = Unmanaged.passRetained(monitor) }
        sharedMonitor = nil
    }

    // MARK: Starting processes

    /// Whether workers have to be told to work in `directory`, because their server works elsewhere.
    package func mustBeTold(_ directory: String?) -> Bool {
        lock.withLock { server != nil && directory != nil && serverDirectory != directory }
    }

    /// Forks this process. `body` runs in the child and never returns.
    func fork(
        as identity: ProcessIdentity, in arena: Arena, owner: ServedProcess.Owner, _ body: @escaping @Sendable () -> Never
    ) throws {
        let reply = Reply<Void>()
        perform { monitor in
            let result = ForkGuard.fork(as: identity, in: arena)
            switch result {
            case .success(.none):
                body()
            case .success(.some(let descriptor)):
                monitor.forked.append(Child(descriptor: descriptor, ended: owner.ended))
                owner.runs(descriptor)
                reply.send(.success(()))
            case .failure(let error):
                reply.send(.failure(error))
            }
        }
        try reply.wait()
    }

    func runningServer() throws -> ForkServer {
        let (server, isStopped) = lock.withLock { (self.server, self.isStopped) }
        if isStopped { throw UsageError("The program is exiting: no more processes are started.") }
        if let server { return server }
        let reply = Reply<ForkServer>()
        perform { monitor in
            if let server = monitor.lock.withLock({ monitor.server }) { return reply.send(.success(server)) }
            reply.send(
                Result {
                    let directory = ThisProcess.directory
                    let server = try ForkServer(deadline: Deadline(after: .seconds(30)))
                    monitor.lock.withLock { (monitor.server, monitor.serverDirectory) = (server, directory) }
                    monitor.teach(FunctionCatalog.all)
                    return server
                })
        }
        return try reply.wait()
    }

    /// Has workers inherit these functions from the server, where there is one. Whatever they inherit, they find what they lack.
    func teach(_ functions: [FunctionCatalog.Entry]) {
        guard let server = lock.withLock({ server }) else { return }
        for function in functions { try? server.learn(function: UInt64(function.offset), bytes: UInt64(function.size)) }
    }

    private func perform(_ command: @escaping @Sendable (ProcessMonitor) -> Void) {
        lock.withLock { commands.append(command) }
        wakeUp.signal()
    }

    /// Calls `body`, which must be quick, once `deadline` has passed.
    func perform(at deadline: Deadline, for owner: AnyObject, _ body: @escaping @Sendable () -> Void) {
        let owner = ObjectIdentifier(owner)
        perform { $0.timers.append((owner, deadline, body)) }
    }

    /// Forgets what was to be called for `owner`.
    func cancelTimers(of owner: AnyObject) {
        let owner = ObjectIdentifier(owner)
        perform { monitor in monitor.timers.removeAll { $0.owner == owner } }
    }

    /// Ends every process that this one has started, and waits for that. None is started afterwards.
    func stop() {
        let server = lock.withLock {
            isStopped = true
            defer { self.server = nil }
            return self.server
        }
        server?.stop()
        let reply = Reply<[ProcessDescriptor]>()
        perform { monitor in reply.send(.success(monitor.forked.map(\.descriptor))) }
        let forked = (try? reply.wait()) ?? []
        for child in forked { child.send(signal: SIGKILL) }
        for child in forked { _ = child.waitForEnd(milliseconds: 1000) }
    }

    // MARK: The thread

    private func run() {
        while true {
            let server = lock.withLock { self.server }
            var watched = [pollfd(fd: wakeUp.number, events: Int16(POLLIN), revents: 0)]
            watched.append(pollfd(fd: server?.number ?? -1, events: Int16(POLLIN), revents: 0))
            watched.append(pollfd(fd: timer.number, events: Int16(POLLIN), revents: 0))
            watched.append(pollfd(fd: DescriptorDepot.unservedListener, events: Int16(POLLIN), revents: 0))
            for child in forked { watched.append(pollfd(fd: child.descriptor.number, events: Int16(POLLIN), revents: 0)) }
            let remaining = (timers.map(\.deadline).min() ?? .never).remaining
            let count = poll(&watched, nfds_t(watched.count), remaining < 0 ? -1 : Int32(min(remaining / 1_000_000 + 1, Int64(Int32.max))))
            runTimers()
            guard count > 0 else { continue }
            // Ends first, so that commands find an up-to-date picture.
            for i in stride(from: forked.count - 1, through: 0, by: -1) where watched[i + 4].revents != 0 { reapForked(at: i) }
            if watched[1].revents != 0, let server { hear(server) }
            if watched[2].revents != 0 {
                timer.clear()
                replenish()
            }
            // Somebody sends or receives a descriptor, the first to do so: from here on a thread of its own serves.
            if watched[3].revents != 0 { DescriptorDepot.serve() }
            if watched[0].revents != 0 {
                wakeUp.clear()
                let commands = lock.withLock {
                    defer { self.commands = [] }
                    return self.commands
                }
                for command in commands { command(self) }
            }
        }
    }

    private func runTimers() {
        // One look at the clock: what passes between two would be removed and not run.
        let now = Deadline.now
        let due = timers.filter { $0.deadline <= now }
        guard !due.isEmpty else { return }
        timers.removeAll { $0.deadline <= now }
        for timer in due { timer.body() }
    }

    private func reapForked(at index: Int) {
        let child = forked.remove(at: index)
        // Somebody else's waitpid may have been faster; then nobody can say how it ended, and whether its work was done is known from its message alone.
        child.ended(child.descriptor.reap(wait: false) ?? .exited(0))
    }

    private func hear(_ server: ForkServer) {
        guard let reply = try? server.receive() else { return serverEnded(server) }
        switch reply {
        case .started(let tag, let descriptor):
            started(tag, descriptor)
        case .notStarted(let tag, let error):
            if let process = lock.withLock({ served.removeValue(forKey: tag) }) { failed(process, error) }
        case .unwatchable(let tag):
            // It must not run. Whoever has asked for it is told once it has ended.
            try? server.kill(tag: tag)
        case .ended(let tag, let status):
            ended(tag, status)
        case .ready, .failed:
            break
        }
    }

    /// A server that ends takes its workers with it, and nobody is left to tell how they ended.
    private func serverEnded(_ server: ForkServer) {
        let orphans = lock.withLock {
            // The requests that come from here on find no server to go to.
            if self.server === server { self.server = nil }
            defer { served = [:] }
            return served
        }
        if !server.process.waitForEnd(milliseconds: 1000) { server.process.send(signal: SIGKILL) }
        _ = server.process.reap(wait: true)
        for process in orphans.values {
            guard let descriptor = lock.withLock({ process.descriptor }) else {
                failed(process, SystemError(code: EPIPE, call: "starting a worker, because the fork server has ended"))
                continue
            }
            if !descriptor.waitForEnd(milliseconds: 1000) {
                descriptor.send(signal: SIGKILL)
                _ = descriptor.waitForEnd(milliseconds: 1000)
            }
            ended(process, .signaled(SIGKILL))
        }
    }
}
