import ArgumentParser
import BenchmarkSupport
import Multiprocessing

/// `mpbench memory`
struct MemoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "memory",
        abstract: "Memory of an idle worker, against that of Python's pool.",
        discussion: """
            `memory.worker` is the proportional share (PSS, in /proc/PID/smaps_rollup) of a worker that has done a few tiny tasks and sleeps, \
            the mean over a pool of two: what it maps together with others counts in equal parts for each. A new pool for each pair.
            python.Pool is the same of a pool with the start method fork, in an interpreter that has imported nothing else.
            """)

    @OptionGroup var options: MeasurementOptions

    func run() throws {
        try measureMemory(Session(options))
    }
}

/// KiB of an idle worker.
func measureMemory(_ session: Session) throws {
    // Of its own for this command: more processes that share the interpreter's pages would make each one's part of them smaller.
    let python = Python()
    defer { python.end() }
    let pool = python.baseline("python.Pool") { try $0.number("memory", 2) / 1024 }
    let figures = try session.compare("memory.worker", unit: "KiB", .lowerIsBetter, with: pool) {
        try withPool(processes: 2) { pool in
            _ = try pool.map(0..<200, chunkSize: 1, square)
            let processes = try pool.places(of: 2).map(\.process)
            Quiet(processes).wait()
            return try processes.map(proportionalShare).reduce(0, +) / Double(processes.count)
        }
    }
    try session.report("Memory of an idle worker", figures, notes: [python.note].compactMap { $0 })
}

/// What a process has of the memory, in KiB.
private func proportionalShare(of process: Int32) throws -> Double {
    guard let share = smallFile("/proc/\(process)/smaps_rollup").flatMap(proportionalShare(inRollup:)) else {
        throw BaselineFailure.call("reading /proc/\(process)/smaps_rollup")
    }
    return share
}
