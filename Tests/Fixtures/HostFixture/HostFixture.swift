import CxxInitialiser
import Glibc
import Multiprocessing

/// A host of workers that tests run as a program of its own: what it does is named by its first argument. It tells the tests where it is by lines on
/// its output, and a line of `ready` always says that everything it was to start has been started.
@main
struct HostFixture {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard let name = arguments.first, let scenario = scenarios[name] else {
            print("no such scenario; there are \(scenarios.keys.sorted())")
            exit(64)
        }
        try await scenario(Array(arguments.dropFirst()))
    }

    typealias Scenario = @Sendable ([String]) async throws -> Void
    static let scenarios: [String: Scenario] = [
        "hosts-of-everything": hostsOfEverything, "open-pool": openPool, "dropped-pool": droppedPool, "work-left": workLeft,
        "reaps-everything": reapsEverything, "initialised": initialised, "descriptors": descriptors, "churn": churn, "deaths": deaths,
        "prints": prints, "few-processes": fewProcesses, "segment-keep": segmentKeep, "segment-race": segmentRace,
        "segment-use": segmentUse, "few-descriptors": fewDescriptors, "descriptors-later": descriptorsLater, "profiled-lock": profiledLock,
        "file-limit": fileLimit,
    ]
}

/// Prints a line that is heard at once, though it goes to a pipe.
func say(_ line: Any) {
    print(line)
    fflush(nil)
}

/// Says that all is set up, and stays until somebody ends this process.
func stay() -> Never {
    say("ready")
    while true { pause() }
}
