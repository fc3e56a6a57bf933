import CxxInitialiser
import Glibc
import Multiprocessing

// What a host shares with its workers, and what it does to itself.

@Sendable nonisolated func openDescriptors() -> [Int32] {
    (Int32(0)..<1024).filter { fcntl($0, F_GETFD) >= 0 }
}

/// Which of the host's own descriptors workers see.
@Sendable func descriptors(_: [String]) async throws {
    // Without O_CLOEXEC, and with numbers that no worker would come to by itself.
    let own = (500..<503).map { dup2(1, Int32($0)) }
    for method in [StartMethod.forkServer, .spawn] {
        var configuration = WorkerConfiguration()
        configuration.startMethod = method
        let seen = try withPool(processes: 1, configuration: configuration) { try $0.apply(openDescriptors) }
        say("\(method) \(seen.filter { own.contains($0) }) \(seen.prefix(3))")
        let late = dup2(1, 510)
        let again = try withPool(processes: 1, configuration: configuration) { try $0.apply(openDescriptors) }
        say("\(method) \(again.filter { $0 == late || own.contains($0) }) \(again.prefix(3))")
    }
}

/// Whether the image's C++ initialisers have run before a worker's first task.
@Sendable func initialised(_: [String]) async throws {
    for method in [StartMethod.forkServer, .fork, .spawn] {
        var configuration = WorkerConfiguration()
        configuration.startMethod = method
        say(try withPool(processes: 1, configuration: configuration) { pool in try pool.apply { initialised_value() } })
    }
}

/// Reaps every child there is, also those that it does not know: the library must still find out how its own ended.
@Sendable func reapsEverything(_: [String]) async throws {
    let pool = try Pool(processes: 2)
    _ = try pool.apply { 1 }
    let thread = ReaperThread()
    thread.start()
    say(try pool.map(0..<100) { $0 * 2 }.reduce(0, +))
    do { _ = try pool.apply { _exit(3) } } catch let error as WorkerTerminated { say(error.status) }
    say(try pool.apply { 7 })
    let child = ChildProcess { 8 }
    try child.start()
    say(try child.result())
    var forking = WorkerConfiguration()
    forking.startMethod = .fork
    for i in 0..<20 {
        let child = ChildProcess(i, configuration: forking) { (i: Int) in i }
        try child.start()
        guard try child.result() == i else { fatalError("another child's result") }
    }
    say("forked")
    // The server itself, which is a child like any other.
    let server = ChildProcess { getppid() }
    try server.start()
    kill(try server.result(), SIGKILL)
    while true {
        // The pool comes back with a new server.
        if let value = try? pool.apply({ 9 }) {
            say(value)
            break
        }
    }
    pool.close()
    try pool.join()
    say("joined")
}

/// A thread that does what a careless program does.
struct ReaperThread {
    func start() {
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { _ in
                while true { if waitpid(-1, nil, 0) < 0 { usleep(100) } }
            }, nil)
    }
}

/// Starts processes where the system allows some and then no more: where there can be no spare, there can be a start; where there can be no start, the next one can.
@Sendable func fewProcesses(_: [String]) async throws {
    // The limit is one on a user's processes and threads, does not hold for root, and is the forking process's own.
    if geteuid() == 0, setgid(54_321) != 0 || setuid(54_321) != 0 { fatalError("errno \(errno)") }
    let server = ChildProcess { getppid() }
    try server.start()
    let pid = try server.result()
    func limit(_ most: Int32) { guard limit_processes(pid, most) == 0 else { fatalError("the server cannot be limited") } }
    for i in 0..<20 {
        let child = ChildProcess(i) { (i: Int) in
            usleep(5000)
            return i
        }
        try child.start()
        limit(1)
        guard try child.result() == i else { fatalError("another's result") }
        if i % 5 == 4 {
            // Until the spares that there are have been used up.
            while true {
                let another = ChildProcess(sleepForEver)
                do { try another.start() } catch { break }
                another.kill()
                try another.join()
            }
            say("refused")
        }
        limit(1000)
    }
}
