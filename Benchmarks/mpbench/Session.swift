import BenchmarkSupport
import Glibc
import Multiprocessing

/// One run of the program: how much to measure, where workers run, and where the figures go.
final class Session {
    /// How many pairs each ratio is the median of.
    let pairs: Int
    /// Fewer and shorter measurements.
    let quick: Bool
    /// The counts of workers, ascending, each once.
    let workerCounts: [Int]
    /// The configuration of every pool whose workers are pinned as was asked for.
    let configuration: WorkerConfiguration
    /// The same where the host works as much as the workers: pinned to all processors there are, they would have to share theirs with it.
    let freeConfiguration: WorkerConfiguration
    private let output: JSONLinesFile?
    private let page: ReportFile?
    /// What the figures depend on, for the page; and what there is on it so far.
    private let surroundings: [String]
    private var figures: [Figure] = []
    private var notes: [String] = []

    /// Throws when the file for the figures cannot be written. Prints what the figures depend on.
    init(_ options: MeasurementOptions) throws {
        quick = options.quick
        // With 31 values the interval leaves out nine on either side; with 7 it spans all of them and still covers 95 %.
        pairs = options.quick ? 7 : 31
        let available = Machine.current.availableProcessors.count
        workerCounts = Set(options.workers?.counts ?? [1, max(available, 1)]).sorted()
        var configuration = WorkerConfiguration()
        configuration.pinning = (options.pin ?? .compact).pinning
        self.configuration = configuration
        configuration.pinning = (options.pin ?? .none).pinning
        freeConfiguration = configuration
        output = try options.json.map(JSONLinesFile.init(path:))
        page = options.report.map(ReportFile.init(path:))

        var load = [0.0, 0, 0]
        let known = getloadavg(&load, 3) == 3
        var lines = ["\(available) processors, load \(known ? load.map { fixed($0, decimals: 2) }.joined(separator: " ") : "unknown")"]
        #if DEBUG
            lines.append("This is a debug build: its figures mean nothing. Build with -c release.")
        #endif
        for line in lines { print(line) }
        if quick { lines.append("Measured with --quick: for a look, not for a claim.") }
        surroundings = [machineText()] + lines
        // A place that cannot be written shows before all the measuring, not after.
        try page?.replace(with: Report(about: surroundings, figures: []).html)
    }

    /// The counts of workers that share something: those that were asked for and two, which the goals are about.
    var crowds: [Int] { Set(workerCounts.filter { $0 > 1 }).union([2]).sorted() }

    /// How long one sample of what can be repeated at will lasts, in ns.
    var sampleLength: Double { quick ? 4_000_000 : 16_000_000 }

    /// What a metric's name ends with for so many workers: nothing for two, as the goals are about two, and else their number.
    func suffix(_ workers: Int) -> String { workers == 2 ? "" : ".\(workers)" }

    /// Prints the figures as a table, and writes them to the file if one was asked for.
    func report(_ title: String, _ figures: [Figure], notes: [String] = []) throws {
        var table = TextTable(header: ["metric", "value", "unit", "baseline", "its value", "ratio", "interval", "pairs"])
        for figure in figures {
            table.add([
                figure.metric, readable(figure.value), figure.unit, figure.baseline, readable(figure.baselineValue),
                readable(figure.ratio.median), "\(readable(figure.ratio.low)) - \(readable(figure.ratio.high))", String(figure.pairs),
            ])
        }
        print("\n\(title)")
        for line in table.lines { print(line) }
        for note in notes { print(note) }
        if let coverage = figures.map(\.ratio.coverage).min() {
            print(
                "ratio: above 1 is better than the baseline; median over pairs measured in turn, with its "
                    + "\(fixed(coverage * 100, decimals: 1)) % interval from order statistics (Conover 1999, 3.2)")
        }
        try record(figures, notes: notes)
    }

    /// Writes figures to the file, and the page, if they were asked for. Each is complete whenever this returns.
    func record(_ figures: [Figure], notes: [String] = []) throws {
        try output?.append(figures.map(\.jsonLine))
        guard let page else { return }
        self.figures += figures
        self.notes += notes
        try page.replace(with: Report(about: surroundings, figures: self.figures, notes: self.notes).html)
    }
}
