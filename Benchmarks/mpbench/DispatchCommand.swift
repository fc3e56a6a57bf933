import ArgumentParser
import BenchmarkSupport
import CBaselines
import Multiprocessing

/// `mpbench dispatch`
struct DispatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dispatch",
        abstract: "Tiny tasks a second, against Python's executor, a task group of this process, and pipes in C.",
        discussion: """
            Every task squares a number; all results are taken and checked. `dispatch.map` is `Pool.map` with a chunk of one, \
            `dispatch.map.lazy` a loop over `ProcessPoolExecutor.map`, `dispatch.submit` one `submit` after the other and then `get` of all. \
            Two workers, and as many as --workers asks for.
            python.ProcessPoolExecutor does the same with fewer tasks, as a rate is a rate. swift.TaskGroup adds a task for each number to a \
            group within this process. c.pipes sends a message of 16 bytes for each task and for each result, at most 1000 under way.
            """)

    @OptionGroup var options: MeasurementOptions

    func run() throws {
        try measureDispatch(Session(options))
    }
}

/// Tiny tasks a second, through every way in.
func measureDispatch(_ session: Session) throws {
    let python = Python()
    defer { python.end() }
    let (figures, notes) = try withTeams(session.crowds, session) { teams in
        var figures: [Figure] = []
        var notes: [String] = [python.note].compactMap { $0 }
        for team in session.crowds.compactMap({ teams[$0] }) {
            let executor = try ProcessPoolExecutor(maxWorkers: team.size, configuration: session.freeConfiguration)
            defer { executor.shutdown() }
            let pool = try Pool(processes: team.size, configuration: session.freeConfiguration)
            defer { pool.close() }
            let dispatch = try Dispatch(team, pool, executor, python, session)
            figures += try dispatch.figures()
            notes.append(
                "\(team.size) workers, where the scheduler puts them unless --pin says otherwise; those of c.pipes on processors of their own"
            )
            notes += [dispatch.quiet.note].compactMap { $0 }
        }
        return (figures, notes)
    }
    try session.report("Tiny tasks, all workers together", figures, notes: notes)
}

/// The measurements with one number of workers.
private struct Dispatch {
    let team: Team
    let pool: Pool
    let executor: ProcessPoolExecutor
    let python: Python
    let session: Session
    let pipes: Pipes
    let quiet: Quiet
    /// How many tasks the fast ones do in one sample. They start with their workers asleep, which must not matter.
    let tasks: Int

    init(_ team: Team, _ pool: Pool, _ executor: ProcessPoolExecutor, _ python: Python, _ session: Session) throws {
        self.team = team
        self.pool = pool
        self.executor = executor
        self.python = python
        self.session = session
        pipes = try Pipes(processors: team.processors)
        quiet = try Quiet(pool.places(of: team.size).map(\.process) + executor.places(of: team.size).map(\.process))
        tasks = session.quick ? 50_000 : 100_000
    }

    func figures() throws -> [Figure] {
        let (tasks, pipes) = (tasks, pipes)
        let machine = [
            Baseline(name: "swift.TaskGroup") { Double(tasks) * 1000 / (try squareInTaskGroup(tasks: tasks)) },
            Baseline(name: "c.pipes") { Double(tasks) * 1000 / (try pipes.square(tasks: tasks)) },
        ]
        return try compare("dispatch.map", with: executorOfPython("map") + machine, map)
            + compare("dispatch.map.lazy", with: executorOfPython("map") + machine, lazyMap)
            + compare("dispatch.submit", with: executorOfPython("submit"), submit)
    }

    /// Millions of tasks a second.
    private func compare(_ metric: String, with baselines: [Baseline], _ run: () throws -> Int) throws -> [Figure] {
        try session.compare(metric + session.suffix(team.size), unit: "Mtask/s", .higherIsBetter, with: baselines) {
            let began = cb_now()
            let sum = try run()
            let length = cb_now() - began
            try checkSum(sum, tasks: tasks)
            quiet.wait()
            return Double(tasks) * 1000 / Double(length)
        }
    }

    private func map() throws -> Int {
        try pool.map(0..<tasks, chunkSize: 1, square).reduce(0, &+)
    }

    private func lazyMap() throws -> Int {
        var sum = 0
        for result in executor.map(0..<tasks, square) { sum &+= try result.get() }
        return sum
    }

    private func submit() throws -> Int {
        let futures = (0..<tasks).map { executor.submit(square, $0) }
        return try futures.reduce(0) { try $0 &+ $1.get() }
    }

    private func executorOfPython(_ order: String) -> [Baseline] {
        let (workers, tasks) = (team.size, session.quick ? 500 : 2000)
        return python.baseline("python.ProcessPoolExecutor") { Double(tasks) * 1000 / (try $0.number(order, workers, tasks)) }
    }
}
