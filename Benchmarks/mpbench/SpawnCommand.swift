import ArgumentParser
import BenchmarkSupport
import CBaselines
import Multiprocessing

/// `mpbench spawn`
struct SpawnCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spawn",
        abstract: "Processes and pools started and ended, against fork in C and Python's.",
        discussion: """
            `spawn.process` is a `ChildProcess` that does nothing: start and join. `spawn.pool` is a pool of two, and of as many as --workers \
            asks for: made, a tiny task for each worker, closed and joined. The fork server runs already. Nothing is pinned, on either side. \
            A sample of every side is the median over a few of them.
            c.fork is fork, `_exit` in the child, and waitpid, in a copy of this process. python.Process and python.Pool do the same as the \
            library, with the start method fork.
            """)

    @OptionGroup var options: MeasurementOptions

    func run() throws {
        try measureSpawning(Session(options))
    }
}

/// Microseconds to start and end.
func measureSpawning(_ session: Session) throws {
    let python = Python()
    defer { python.end() }
    let crew = try Crew(processors: [nil])
    defer { crew.end() }
    let processes = session.quick ? 5 : 15
    let fork = Baseline(name: "c.fork") { try medianOf(processes) { try crew.fork(times: 1) } / 1000 }
    let process = python.baseline("python.Process") { try $0.number("process", processes) / 1000 }
    var figures = try session.compare("spawn.process", unit: "us", .lowerIsBetter, with: [fork] + process) {
        defer { settle() }
        return try medianOf(processes, lengthOfProcess) / 1000
    }
    let pools = session.quick ? 1 : 5
    for size in session.crowds {
        let pool = python.baseline("python.Pool") { try $0.number("pool", size, pools) / 1000 }
        figures += try session.compare("spawn.pool\(session.suffix(size))", unit: "us", .lowerIsBetter, with: pool) {
            defer { settle() }
            return try medianOf(pools) { try lengthOfPool(size: size) } / 1000
        }
    }
    try session.report("Started and ended", figures, notes: [python.note].compactMap { $0 })
}

/// Waits until the library has cleared up what has ended and has spare processes again, which it does when there is time: the baseline's would be taken for it.
private func settle() { cb_sleep_until(cb_now() + 20_000_000) }

/// The time of a process, in ns.
private func lengthOfProcess() throws -> Double {
    let began = cb_now()
    let process = ChildProcess(doNothing)
    try process.start()
    try process.join()
    return Double(cb_now() - began)
}

/// The time of a pool, in ns.
private func lengthOfPool(size: Int) throws -> Double {
    let began = cb_now()
    let pool = try Pool(processes: size)
    let results = try pool.map(0..<size, chunkSize: 1, square)
    pool.close()
    try pool.join()
    let length = Double(cb_now() - began)
    try checkSum(results.reduce(0, &+), tasks: size)
    return length
}
