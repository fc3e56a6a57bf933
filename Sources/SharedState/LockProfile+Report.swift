extension LockProfile {
    /// A table of all profiled locks of the calling process's family, those with the most time lost first; and for each, who waited for whom, and where.
    ///
    /// Does not disturb who uses the locks. Takes some 100 µs for each.
    public static func report() -> String { report(of: all()) }

    /// The same table of any profiles, such as those of ``all(ofProcess:)``.
    public static func report(of profiles: [LockProfile]) -> String {
        if profiles.isEmpty { return "No lock of this family keeps a profile. Make one with SharedLock(name:profiling: true)." }
        let durations = ["mean", "p50", "p99", "p99.9", "max"]
        let counts = ["spun", "slept", "wakes", "deaths", "fairness", "time lost"]
        var rows = [["lock", "kind", "taken", "waited", "changes", "wait total"] + durations + ["hold total"] + durations + counts]
        rows += profiles.map(\.row)
        var lines = aligned(rows)
        for profile in profiles { lines += [""] + profile.details }
        lines += ["", note(profiles)]
        return lines.joined(separator: "\n")
    }

    private var row: [String] {
        func cells(_ times: Times) -> [String] { [times.mean, times.p50, times.p99, times.p999, times.max].map(text) }
        func cell(_ count: Int?) -> String { count.map { "\($0)" } ?? "-" }
        let lock = [shortName, kind.rawValue, "\(acquisitions)", "\(contended) (\(percent(contendedShare)))", "\(ownerChanges)"]
        let times = [text(wait.total)] + cells(wait) + ["~" + text(hold.total)] + cells(hold)
        let counts = [cell(spun), cell(slept), cell(wakes), "\(ownerDeaths)"]
        return lock + times + counts + [percent(fairness), "\(text(timeLost)) (\(percent(timeLostShare)))"]
    }

    /// Who and where, a few lines.
    private var details: [String] {
        var lines = [
            "\(printableName), made at \(created.printable), profiled for \(text(age))\(heldBy.map { ", held by process \($0)" } ?? "")"
        ]
        if timeouts > 0 { lines.append("  gave up waiting: \(timeouts) times, after \(text(waitedInVain)) in all") }
        lines += Self.list("waited at", waitingSites.map { "\($0.site.printable) \(text($0.total)) (\($0.count))" })
        lines += Self.list("held at", holdingSites.map { "\($0.site.printable) ~\(text($0.total)) (~\($0.count))" })
        lines += Self.list(
            "taken by",
            processes.map {
                let who =
                    $0.processIdentifier == 0
                    ? "\($0.count) \($0.hasEnded ? "ended processes" : "others")"
                    : "\($0.processIdentifier)\($0.hasEnded ? " (ended)" : "")"
                return "\(who) \(percent($0.share)), waited \(text($0.waited))"
            })
        return lines
    }

    private static func list(_ title: String, _ items: [String]) -> [String] {
        if items.isEmpty { return [] }
        let shown = items.prefix(5) + (items.count > 5 ? ["\(items.count - 5) more"] : [])
        return ["  \(title): " + shown.joined(separator: "; ")]
    }

    private static func note(_ profiles: [LockProfile]) -> String {
        let samples = profiles.reduce(0) { $0 + min($1.hold.samples, 1 << 50) }
        return """
            Counts are exact, and every wait is timed. Holds are estimated (~) from \(samples) samples: all that had to wait, and one in 64 of the others, more of \
            a process's first few hundred. Percentiles are to within a sixteenth. time lost: what was spent waiting, and the part of the workers' time that it is.
            """
    }

    /// Columns as wide as they need to be, the first two flush left.
    private static func aligned(_ rows: [[String]]) -> [String] {
        let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                return column < 2 ? row[column] + padding : padding + row[column]
            }.joined(separator: "  ")
        }
    }
}

/// With three digits, and the unit that suits.
private func text(_ duration: Duration) -> String {
    var value = duration.seconds * 1e9
    for unit in ["ns", "us", "ms"] {
        if value < 999.5 { return threeDigits(value) + " " + unit }
        value /= 1000
    }
    return threeDigits(value) + " s"
}

private func percent(_ share: Double) -> String { threeDigits(share * 100) + " %" }

private func threeDigits(_ value: Double) -> String {
    guard value.isFinite, value < 1e15 else { return "\(value)" }
    let decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
    var scale = 1
    for _ in 0..<decimals { scale *= 10 }
    let scaled = Int((value * Double(scale)).rounded())
    if decimals == 0 || scaled % scale == 0 { return "\(scaled / scale)" }
    let rest = "\(scaled % scale)"
    return "\(scaled / scale)." + String(repeating: "0", count: decimals - rest.count) + rest
}
