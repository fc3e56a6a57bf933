import Glibc

/// What this process, and its family, hold of what the system has: to be the same after a test as before it.
package struct Holdings: Sendable, CustomStringConvertible {
    /// Open descriptors of this process, and what they are; but for those of spare processes.
    package var descriptors: [String]
    /// Descendants that live, fork servers and their spare processes excepted, which come and go as they see fit.
    package var workers: [ProcessEntry]
    package var zombies: [ProcessEntry]
    package var sharedMemoryNames: Set<String>

    package static func now() -> Holdings {
        let family = ProcessEntry.descendants()
        let spares = Set(family.filter { $0.isSpare || $0.isForkServer }.map(\.pid))
        // But for the one that looks.
        let own = entries(of: "/proc/self/fd").filter { !spares.contains(processBehind($0)) }
            .map { "\($0) -> \(linkTarget("/proc/self/fd/\($0)") ?? "?")" }.filter { !$0.contains("/proc/\(getpid())/fd") }
        return Holdings(
            descriptors: own.sorted(), workers: family.filter { !$0.isZombie && !spares.contains($0.pid) },
            zombies: family.filter(\.isZombie),
            sharedMemoryNames: Set(entries(of: "/dev/shm")))
    }

    /// The process that a descriptor stands for; -1 where it stands for something else, or for one that has ended.
    private static func processBehind(_ descriptor: String) -> Int32 {
        let line = readAll("/proc/self/fdinfo/\(descriptor)")?.split(separator: "\n").first { $0.hasPrefix("Pid:") }
        return line?.split(separator: "\t").last.flatMap { Int32($0) } ?? -1
    }

    /// What is held now and was not in `before`.
    package func excess(over before: Holdings) -> [String] {
        var text: [String] = []
        if descriptors.count > before.descriptors.count {
            text.append("descriptors: \(descriptors.filter { !before.descriptors.contains($0) })")
        }
        let old = Set(before.workers.map(\.pid))
        text += workers.filter { !old.contains($0.pid) }.map { "process \($0)" }
        let oldZombies = Set(before.zombies.map(\.pid))
        text += zombies.filter { !oldZombies.contains($0.pid) }.map { "zombie \($0)" }
        text += sharedMemoryNames.subtracting(before.sharedMemoryNames).map { "/dev/shm/\($0)" }
        return text
    }

    package var description: String {
        "\(descriptors.count) descriptors, \(workers.count) workers, \(zombies.count) zombies, \(sharedMemoryNames.count) names"
    }
}

/// Polls until `condition` holds. How long that takes is not this function's business: the watchdog ends what never comes, and `limit` only
/// makes a failure readable.
/// - Returns: whether it came to hold.
package func eventually(within limit: Duration = .seconds(20), _ condition: () throws -> Bool) rethrows -> Bool {
    let end = ContinuousClock.now + limit
    while true {
        if try condition() { return true }
        if ContinuousClock.now > end { return try condition() }
        usleep(2000)
    }
}

/// What `body` leaves behind, once all that is on its way out has gone. Empty, when all is well.
package func leaks(of body: () throws -> Void) rethrows -> [String] {
    let before = Holdings.now()
    try body()
    // What is seen at one moment: a spare process may come while the next look is taken.
    var excess: [String] = []
    _ = eventually(within: .seconds(5)) {
        excess = Holdings.now().excess(over: before)
        return excess.isEmpty
    }
    return excess
}
