import ArgumentParser
import BenchmarkSupport
import CBaselines
import Glibc
import Multiprocessing
import SharedState

/// `mpbench top`
struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Where the time of a running program's locks goes.",
        discussion: """
            Shows the profiled locks (`SharedLock(name:profiling: true)`) of the family of processes that PID is of, a program that uses \
            Multiprocessing or one of its workers: those with the most time lost first, again and again until the program ends. It reads their memory and \
            does not disturb them; it takes the right to do so, as the same user or root.
            Counts are exact; every wait is timed, and of the holds those that had to wait and one in 64 of the others (~). /s and `lost now` are about the last \
            interval, everything else is since the lock was made. `lost now` is the part of the workers' time that they waited; waits that still last \
            count when they end.
            Only what is asked for goes to standard output. The status is 0 when it has looked once, and when the program that it looked at has ended, which it \
            says on standard error; 1 when the locks cannot be read: no such process, no right to, or none that shares memory; 64 for wrong arguments.
            """)

    @Argument(help: "A process: the program's own, or a worker's.")
    var pid: Int32

    @Option(help: ArgumentHelp("How often to look, in seconds.", valueName: "seconds"))
    var interval = 1.0

    @Flag(help: "Look once, print the report, and end.")
    var once = false

    @Flag(help: "Print a JSON object for each lock, on a line of its own. Times are in nanoseconds.")
    var json = false

    @Option(help: ArgumentHelp("Also draw how long waits and holds were, to this file: .svg or .html.", valueName: "file"))
    var plot: String?

    func validate() throws {
        guard interval >= 0.01, interval <= 86_400 else { throw ValidationError("--interval is from 0.01 to 86400 seconds.") }
        if let plot, !plot.hasSuffix(".svg"), !plot.hasSuffix(".html") {
            throw ValidationError("--plot writes .svg or .html, by the file's name: \(plot) is neither.")
        }
    }

    func run() throws {
        var before: (at: UInt64, profiles: [UInt64: LockProfile])?
        while true {
            let profiles: [LockProfile]
            do {
                profiles = try LockProfile.all(ofProcess: pid)
            } catch  where before != nil && LockProfile.hasEnded(process: pid) {
                // What was asked for has been shown, and whoever reads it may be a program.
                fflush(nil)
                complain("Process \(pid) has ended.")
                return
            }
            let now = cb_now()
            try show(profiles, since: before.map { (Double(now - $0.at) / 1e9, $0.profiles) })
            if let plot { try write(LockPlot(profiles, ofProcess: pid).text(asPage: plot.hasSuffix(".html")), to: plot) }
            if once { return }
            before = (now, Dictionary(profiles.map { ($0.place, $0) }, uniquingKeysWith: { first, _ in first }))
            fflush(nil)
            cb_sleep_until(now + UInt64(interval * 1e9))
        }
    }

    private func show(_ profiles: [LockProfile], since before: (seconds: Double, profiles: [UInt64: LockProfile])?) throws {
        if json {
            for profile in profiles { print(profile.jsonLine) }
        } else if once {
            print(LockProfile.report(of: profiles))
        } else {
            // Home, and clear what is below: without a flicker.
            if isatty(STDOUT_FILENO) == 1 { print("\u{1B}[H\u{1B}[J", terminator: "") }
            print("process \(pid): \(profiles.count) profiled lock\(profiles.count == 1 ? "" : "s")")
            for line in liveTable(profiles, since: before).lines { print(line) }
        }
    }

    private func liveTable(_ profiles: [LockProfile], since before: (seconds: Double, profiles: [UInt64: LockProfile])?) -> TextTable {
        var table = TextTable(header: [
            "lock", "held by", "taken", "/s", "waited", "wait mean", "wait p99", "wait max", "hold mean", "hold p99", "deaths", "lost",
            "lost now", "waited most at",
        ])
        for profile in profiles {
            var (rate, lost) = ("-", "-")
            if let before, let earlier = before.profiles[profile.place], earlier.acquisitions <= profile.acquisitions {
                rate = readable(Double(profile.acquisitions - earlier.acquisitions) / before.seconds)
                let workers = Double(max(profile.processes.count { !$0.hasEnded }, 1))
                lost = percent((profile.timeLost - earlier.timeLost) / .seconds(1) / (before.seconds * workers))
            }
            table.add([
                profile.shortName, profile.heldBy.map(String.init) ?? "-", String(profile.acquisitions), rate,
                percent(profile.contendedShare),
                brief(profile.wait.mean), brief(profile.wait.p99), brief(profile.wait.max), brief(profile.hold.mean),
                brief(profile.hold.p99),
                String(profile.ownerDeaths), percent(profile.timeLostShare), lost, profile.waitingSites.first?.site.printable ?? "-",
            ])
        }
        return table
    }
}

private func percent(_ share: Double) -> String { fixed(share * 100, decimals: 1) + " %" }

/// A duration for a narrow column.
func brief(_ duration: Duration) -> String {
    var value = duration / .nanoseconds(1)
    for unit in ["ns", "us", "ms"] {
        if value < 1000 { return readable(value) + " " + unit }
        value /= 1000
    }
    return readable(value) + " s"
}

/// Says on standard error what is not part of what was asked for.
private func complain(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    _ = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

/// Writes a whole file.
private func write(_ text: String, to path: String) throws {
    guard let file = fopen(path, "w") else { throw BaselineFailure.call("writing \(path)") }
    let written = fputs(text, file)
    guard fclose(file) == 0, written >= 0 else { throw BaselineFailure.call("writing \(path)") }
}
