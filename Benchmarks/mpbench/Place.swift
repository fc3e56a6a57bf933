import CBaselines
import Glibc
import Multiprocessing

/// Where a worker runs.
struct Place: Codable, Sendable {
    let process: Int32
    let processors: [Int]
}

extension Pool {
    /// Asks every worker of a pool of so many where it runs. Blocks until all have said so.
    func places(of size: Int) throws -> [Place] {
        try askEach(of: size) { applyAsync(reportPlace, $0) }
    }
}

extension ProcessPoolExecutor {
    /// Asks every worker of an executor of so many where it runs. Blocks until all have said so.
    func places(of size: Int) throws -> [Place] {
        try askEach(of: size) { submit(reportPlace, $0) }
    }
}

private func askEach(of size: Int, _ ask: (UInt64) -> Future<Place>) throws -> [Place] {
    for attempt in 0..<8 {
        // All wait for one instant, so that no worker can answer twice; for a later one each time, as starting a process takes long on some machines.
        let instant = cb_now() + (20_000_000 << UInt64(attempt))
        let futures = (0..<size).map { _ in ask(instant) }
        let places = try futures.map { try $0.get() }
        if Set(places.map(\.process)).count == size { return places }
    }
    throw UnevenTeam(size: size)
}

/// Tasks that were to run at the same time did not get a worker each.
struct UnevenTeam: Error, CustomStringConvertible {
    let size: Int

    var description: String {
        "\(size) tasks did not run on \(size) workers at the same time, in repeated attempts: the machine is too busy, or a worker was lost"
    }
}

/// Run in a worker: sleeps until the instant (of `cb_now`), then says where it is.
private func reportPlace(at instant: UInt64) throws -> Place {
    cb_sleep_until(instant)
    var ids = [Int32](repeating: 0, count: 1024)
    let count = cb_affinity(&ids, Int32(ids.count))
    guard count >= 0 else { throw BaselineFailure.call("sched_getaffinity") }
    return Place(process: getpid(), processors: ids.prefix(Int(count)).map(Int.init))
}
