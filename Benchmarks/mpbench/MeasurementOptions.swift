import ArgumentParser
import BenchmarkSupport
import Multiprocessing

/// The options that every command takes.
struct MeasurementOptions: ParsableArguments {
    @Option(help: "How many workers, such as 1,2. One measurement each. (default: 1 and all processors)")
    var workers: WorkerCounts?

    @Option(
        help:
            "Where workers run: compact, spread, none, or processors such as 0,1. (default: compact; none where the host works as much as they do)"
    )
    var pin: PinChoice?

    @Flag(help: "Fewer and shorter measurements: for a look, not for a claim.")
    var quick = false

    @Option(help: ArgumentHelp("Also write every figure to this file, one JSON object a line.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("Also show every figure on a page for a browser, with plots, in this file.", valueName: "file"))
    var report: String?
}

extension WorkerCounts: ExpressibleByArgument {
    /// Reads the option's text.
    public init?(argument: String) {
        self.init(argument)
    }
}

extension PinChoice: ExpressibleByArgument {
    /// Reads the option's text.
    public init?(argument: String) {
        self.init(argument)
    }

    /// The text that `--help` shows for the default.
    public var defaultValueDescription: String {
        switch self {
        case .none: "none"
        case .compact: "compact"
        case .spread: "spread"
        case .processors(let ids): ids.map(String.init).joined(separator: ",")
        }
    }

    /// The library's word for it.
    var pinning: Pinning {
        switch self {
        case .none: .none
        case .compact: .compact
        case .spread: .spread
        case .processors(let ids): .cpus(ids)
        }
    }
}
