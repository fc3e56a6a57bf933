import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// How workers, and those who wait for them, wait.
    @Suite struct WaitingTests {
        private static let strategies: [WaitStrategy] = [.adaptive, .blocking, .spinning]

        @Test(arguments: strategies) func everyKindOfCall(waiting: WaitStrategy) async throws {
            // More workers than processors, too: there no strategy may keep those from their work that have any.
            for workers in [1, 2 * Machine.current.availableProcessors.count + 1] {
                try withPool(processes: workers, configuration: .init(.forkServer) { $0.waiting = waiting }) { pool in
                    for i in 0..<100 { try #expect(pool.apply(double, i) == 2 * i) }
                    try #expect(pool.map(0..<5000, double) == (0..<5000).map { 2 * $0 })
                    let futures = (0..<1000).map { pool.applyAsync(double, $0) }
                    try #expect(futures.map { try $0.get() } == (0..<1000).map { 2 * $0 })
                }
            }
        }

        /// Whoever runs or is woken is counted by the kernel: of an idle pool nobody is.
        @Test(arguments: StartMethod.all, strategies) func anIdlePoolDoesNothing(method: StartMethod, waiting: WaitStrategy) throws {
            try withPool(processes: 2, configuration: .init(method) { $0.waiting = waiting }) { pool in
                try #expect(pool.map(0..<1000, double).count == 1000)
                // Not at once: a spare process may still be on its way, and everybody looks around once more. A pool that did something every
                // tenth of a second would never be found to have done nothing in a second.
                let hasRested = eventually(within: .seconds(60)) {
                    let before = Activity.ofFamily()
                    usleep(1_000_000)
                    return before == Activity.ofFamily()
                }
                #expect(hasRested, "still awake: \(Activity.ofFamily())")
                try #expect(pool.apply(double, 4) == 8)
            }
        }

        @Test(.enabled(if: getenv("MP_EXTENDED") != nil, "takes a gigabyte")) func aMillionSubmittedBeforeOneIsAskedFor() throws {
            try withPool(processes: 2) { pool in
                let futures = (0..<1_000_000).map { pool.applyAsync(double, $0) }
                var sum = 0
                for future in futures { sum += try future.get() }
                #expect(sum == 999_999 * 1_000_000)
            }
        }
    }
}

/// What the kernel has counted of the threads of the library, in this process and in those it has made.
private struct Activity: Equatable, CustomStringConvertible {
    /// Time on a processor, and how often it was given one.
    let threads: [String: String]

    var description: String { threads.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ") }

    static func ofFamily() -> Activity {
        var threads: [String: String] = [:]
        // The tests' own threads are awake as they please.
        for thread in paths(of: "self") where readAll(thread + "/comm")?.hasPrefix("mp-") ?? false { threads[thread] = times(of: thread) }
        for process in ProcessEntry.descendants() {
            for thread in paths(of: "\(process.pid)") { threads[thread] = times(of: thread) }
        }
        return Activity(threads: threads)
    }

    private static func paths(of process: String) -> [String] { entries(of: "/proc/\(process)/task").map { "/proc/\(process)/task/\($0)" } }

    private static func times(of thread: String) -> String {
        let switches = (readAll(thread + "/status") ?? "").split(separator: "\n").filter { $0.contains("ctxt_switches") }
        // "pid (name) state …": the times in user and system mode are the 14th and 15th. A thread that spins is not switched while nobody else wants to run.
        let fields = (readAll(thread + "/stat") ?? "").split(separator: ")").last?.split(separator: " ") ?? []
        return (switches + fields.dropFirst(11).prefix(2)).joined(separator: " ")
    }
}
