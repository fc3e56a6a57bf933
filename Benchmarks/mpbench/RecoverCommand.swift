import ArgumentParser
import BenchmarkSupport
import CBaselines
import Glibc
import Multiprocessing

/// `mpbench recover`
struct RecoverCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover",
        abstract: "From a worker's death to its replacement, against kill and fork in C.",
        discussion: """
            `recover` kills the worker of a pool of one, which sleeps in a task, and takes the time until that task has failed with \
            `WorkerTerminated` and another one has been run by the new worker. Nothing is pinned, on either side. A sample of either is the median \
            over a few deaths.
            c.refork: a process, a copy of this one, kills a child that sleeps in a futex, learns of its end through a pidfd, reaps it, forks \
            another and waits until that says that it is ready.
            """)

    @OptionGroup var options: MeasurementOptions

    func run() throws {
        try measureRecovery(Session(options))
    }
}

/// Microseconds from SIGKILL to reported and replaced.
func measureRecovery(_ session: Session) throws {
    let times = session.quick ? 3 : 7
    let figures = try withTeam(of: 1, WorkerConfiguration()) { team in
        let refork = Baseline(name: "c.refork") { try medianOf(times) { try team.crew.refork(times: 1) } / 1000 }
        return try session.compare("recover", unit: "us", .lowerIsBetter, with: [refork]) {
            try medianOf(times) { try lengthOfRecovery(in: team.pool) } / 1000
        }
    }
    try session.report("A killed worker reported and replaced", figures)
}

/// Kills the pool's only worker and waits for the next one to have done something; the time in ns.
private func lengthOfRecovery(in pool: Pool) throws -> Double {
    let victim = try pool.apply(ownProcess)
    let lost = pool.applyAsync(sleepForLong)
    // Untimed: the worker takes the task and falls asleep in it, as the C side's does.
    repeat { cb_sleep_until(cb_now() + 1_000_000) } while !lost.isRunning || processIsAwake(victim)
    let began = cb_now()
    guard kill(victim, SIGKILL) == 0 else { throw BaselineFailure.call("killing worker \(victim)") }
    do {
        try lost.get()
        throw Unharmed()
    } catch is WorkerTerminated {}
    let next = try pool.apply(ownProcess)
    let length = Double(cb_now() - began)
    guard next != victim else { throw Unharmed() }
    return length
}

/// A worker that was killed went on.
struct Unharmed: Error {}

/// Run in a worker: its process.
func ownProcess() -> Int32 { getpid() }

/// Run in a worker: longer than anybody waits for it.
private func sleepForLong() { cb_sleep_until(cb_now() + 3_600_000_000_000) }
