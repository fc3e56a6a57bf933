import ArgumentParser

/// Measures the library against plain C, Python and Swift's own tasks on the same machine, in the same run.
@main
struct MPBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mpbench",
        abstract: "Measures Multiprocessing against plain C, Python and Swift's own tasks on this machine.",
        discussion: """
            Every ratio says how many times better than its baseline the library is, and is the median over pairs that were measured in \
            turn. Build with -c release: figures of a debug build mean nothing. Each command's --help says what exactly it measures, and what its \
            baselines do.
            """,
        subcommands: [
            CountCommand.self, LocksCommand.self, DispatchCommand.self, RoundTripCommand.self, PayloadCommand.self, SpawnCommand.self,
            RecoverCommand.self, MemoryCommand.self, QueueCommand.self, ConnectionCommand.self, AllCommand.self, TopCommand.self,
        ])
}

/// `mpbench all`
struct AllCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "all", abstract: "Everything, one after the other.")

    @OptionGroup var options: MeasurementOptions

    func run() throws {
        let session = try Session(options)
        try measureCounting(session)
        try measureLocks(session)
        try measureDispatch(session)
        try measureRoundTrips(session)
        try measurePayload(session)
        try measureSpawning(session)
        try measureRecovery(session)
        try measureMemory(session)
    }
}
