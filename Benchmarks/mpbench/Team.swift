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
    /// Tells when the pool's workers sleep.
    let quiet: Quiet

    /// Starts both sides; throws if either cannot be made whole. Blocks until every worker has said where it runs.
    init(size: Int, _ configuration: WorkerConfiguration) throws {
        self.size = size
        pool = try Pool(processes: size, configuration: configuration)
        do {
            let places = try pool.places(of: size)
            processors = places.map { $0.processors.count == 1 ? $0.processors[0] : nil }
            quiet = Quiet(places.map(\.process))
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
}

/// A few teams, by their size, which end together.
func withTeams<T>(_ sizes: [Int], _ session: Session, _ body: ([Int: Team]) throws -> T) throws -> T {
    var teams: [Int: Team] = [:]
    // After a failure of the body its error matters, not what ending the teams says.
    var ended = false
    defer { if !ended { for team in teams.values { try? team.end() } } }
    for size in Set(sizes) { teams[size] = try Team(size: size, session.configuration) }
    let result = try body(teams)
    ended = true
    for team in teams.values { try team.end() }
    return result
}

/// One team, which ends with the body.
func withTeam<T>(of size: Int, _ configuration: WorkerConfiguration, _ body: (Team) throws -> T) throws -> T {
    let team = try Team(size: size, configuration)
    do {
        let result = try body(team)
        try team.end()
        return result
    } catch {
        try? team.end()
        throw error
    }
}
