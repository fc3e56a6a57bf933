import CBaselines
import Glibc
import Multiprocessing

/// The two sides of a comparison: a pool of the library, and a crew of C processes pinned to the very processors that the pool's workers
/// are on. While one side is measured the other sleeps in a futex.
final class Team {
    let pool: Pool
    let crew: Crew
    /// How many workers either side has.
    let size: Int
    /// The processor that each worker of either side is pinned to, as the kernel reports it; nil for one that may run on several.
    let processors: [Int?]

    /// Starts both sides; throws if either cannot be made whole. Blocks until every worker has said where it runs.
    init(size: Int, _ session: Session) throws {
        self.size = size
        pool = try Pool(processes: size, configuration: session.configuration)
        do {
            processors = try Team.processors(of: pool, size: size)
            crew = try Crew(processors: processors)
        } catch {
            pool.terminate()
            try pool.join()
            throw error
        }
    }

    /// Ends both sides and waits for it.
    func end() throws {
        crew.end()
        pool.close()
        try pool.join()
    }

    /// How many processors the workers share: those they are pinned to, or, as any may run anywhere, all.
    var processorCount: Int {
        let pinned = Set(processors.compactMap { $0 })
        return pinned.isEmpty ? max(Machine.current.availableProcessors.count, 1) : pinned.count
    }

    /// Where the workers are, in words.
    var whereabouts: String {
        "\(size) worker\(size == 1 ? "" : "s") on processor \(processors.map { $0.map(String.init) ?? "any" }.joined(separator: ", "))"
    }

    /// Asks every worker of the pool where it runs.
    private static func processors(of pool: Pool, size: Int) throws -> [Int?] {
        for attempt in 1...5 {
            // All wait for one instant, so that no worker can answer twice.
            let instant = cb_now() + UInt64(attempt) * 20_000_000
            let futures = (0..<size).map { _ in pool.applyAsync(reportPlace, instant) }
            let places = try futures.map { try $0.get() }
            guard Set(places.map(\.process)).count == size else { continue }
            return places.map { $0.processors.count == 1 ? $0.processors[0] : nil }
        }
        throw UnevenTeam(size: size)
    }
}

/// A few teams, by their size, which end together.
func withTeams<T>(_ sizes: [Int], _ session: Session, _ body: ([Int: Team]) throws -> T) throws -> T {
    var teams: [Int: Team] = [:]
    // After a failure of the body its error matters, not what ending the teams says.
    var ended = false
    defer { if !ended { for team in teams.values { try? team.end() } } }
    for size in Set(sizes) { teams[size] = try Team(size: size, session) }
    let result = try body(teams)
    ended = true
    for team in teams.values { try team.end() }
    return result
}

/// Tasks that were to run at the same time did not get a worker each.
struct UnevenTeam: Error, CustomStringConvertible {
    let size: Int

    var description: String {
        "\(size) tasks did not run on \(size) workers at the same time, in repeated attempts: the machine is too busy, or a worker was lost"
    }
}

/// Where a worker runs.
struct Place: Codable, Sendable {
    let process: Int32
    let processors: [Int]
}

/// Run in a worker: sleeps until the instant (of `cb_now`), then says where it is.
func reportPlace(at instant: UInt64) throws -> Place {
    cb_sleep_until(instant)
    var ids = [Int32](repeating: 0, count: 1024)
    let count = cb_affinity(&ids, Int32(ids.count))
    guard count >= 0 else { throw BaselineFailure.call("sched_getaffinity") }
    return Place(process: getpid(), processors: ids.prefix(Int(count)).map(Int.init))
}
