import BenchmarkSupport
import Glibc
import Multiprocessing
import SharedState

/// How long waits and holds were, drawn: a panel for each lock, in one SVG that needs nothing else.
struct LockPlot {
    private let profiles: [LockProfile]
    private let title: String

    private static let (width, panel, left, right, top, bottom) = (900.0, 240.0, 60.0, 20.0, 56.0, 34.0)
    /// Bars for each doubling: buckets are finer, and not of one width.
    private static let barsPerDoubling = 4.0
    private static var series: [(name: String, color: String, times: KeyPath<LockProfile, LockProfile.Times>)] {
        [("waits", "#d9822b", \.wait), ("holds", "#2b6cb0", \.hold)]
    }

    init(_ profiles: [LockProfile], ofProcess pid: Int32) {
        self.profiles = profiles
        title = "Locks of process \(pid)"
    }

    /// The drawing; as a page, with the report below it.
    func text(asPage: Bool) -> String {
        guard asPage else { return svg }
        return """
            <!DOCTYPE html>
            <html><head><meta charset="utf-8"><title>\(escaped(title))</title></head>
            <body style="font-family: sans-serif"><h1>\(escaped(title))</h1>
            \(svg)<pre>\(escaped(LockProfile.report(of: profiles)))</pre></body></html>

            """
    }

    private var svg: String {
        let height = max(Double(profiles.count), 1) * Self.panel
        var parts = [
            """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(number(Self.width))" height="\(number(height))" \
            viewBox="0 0 \(number(Self.width)) \(number(height))" font-family="sans-serif" font-size="12">
            <rect width="100%" height="100%" fill="white"/>
            """
        ]
        if profiles.isEmpty { parts.append(label("No profiled locks.", x: Self.left, y: Self.top)) }
        for (index, profile) in profiles.enumerated() { parts.append(drawing(of: profile, y: Double(index) * Self.panel)) }
        return parts.joined(separator: "\n") + "\n</svg>\n"
    }

    private func drawing(of profile: LockProfile, y: Double) -> String {
        var parts = [
            label(
                "\(profile.shortName): \(profile.acquisitions) times, made at \(profile.created.printable)", x: Self.left, y: y + 18,
                weight: "bold", title: profile.printableName)
        ]
        for (index, series) in Self.series.enumerated() {
            let times = profile[keyPath: series.times]
            let text =
                "\(series.name): mean \(brief(times.mean)), p50 \(brief(times.p50)), p99 \(brief(times.p99)), p99.9 \(brief(times.p999)), max \(brief(times.max))"
            parts.append(label(text, x: Self.left + Double(index) * 420, y: y + 36, color: series.color))
        }
        let bars = Self.series.map { Self.bars(profile[keyPath: $0.times].histogram) }
        let places = bars.flatMap(\.keys)
        guard let first = places.min(), let last = places.max() else { return parts.joined(separator: "\n") }
        let (base, height) = (y + Self.panel - Self.bottom, Self.panel - Self.top - Self.bottom)
        let step = (Self.width - Self.left - Self.right) / Double(last - first + 1)
        for (series, bars) in zip(Self.series, bars) {
            // Each by its own largest: there are far more holds than waits. Logarithmic, as the few longest are those that matter.
            guard let largest = bars.values.max(), largest > 0 else { continue }
            for (place, count) in bars.sorted(by: { $0.key < $1.key }) {
                let length = log(1 + count) / log(1 + largest) * height
                parts.append(
                    """
                    <rect x="\(number(Self.left + Double(place - first) * step))" y="\(number(base - length))" width="\(number(step))" \
                    height="\(number(length))" fill="\(series.color)" fill-opacity="0.5"/>
                    """)
            }
        }
        parts.append(
            """
            <line x1="\(number(Self.left))" y1="\(number(base))" x2="\(number(Self.width - Self.right))" y2="\(number(base))" stroke="black"/>
            """)
        parts.append(label("how many (log)", x: 4, y: y + Self.top - 4))
        // A mark at each power of ten.
        var power: Int64 = 1
        for _ in 0..<13 {
            let place = Self.place(Double(power))
            if place >= first, place <= last {
                let x = Self.left + (Self.exactPlace(Double(power)) - Double(first)) * step
                parts.append(
                    "<line x1=\"\(number(x))\" y1=\"\(number(base))\" x2=\"\(number(x))\" y2=\"\(number(base + 5))\" stroke=\"black\"/>")
                parts.append(label(brief(.nanoseconds(power)), x: x, y: base + 18, anchor: "middle"))
            }
            power *= 10
        }
        return parts.joined(separator: "\n")
    }

    /// How many there were at each place of the axis.
    private static func bars(_ histogram: [LockProfile.Bucket]) -> [Int: Double] {
        var bars: [Int: Double] = [:]
        for bucket in histogram { bars[place((bucket.start + bucket.end) / .nanoseconds(2)), default: 0] += Double(bucket.count) }
        return bars
    }

    private static func place(_ nanoseconds: Double) -> Int { Int(exactPlace(nanoseconds).rounded(.down)) }

    /// On a logarithmic axis.
    private static func exactPlace(_ nanoseconds: Double) -> Double {
        guard nanoseconds >= 1 else { return 0 }
        // The binary logarithm, of which only the fraction needs more than the exponent: within a doubling the axis is straight.
        return (Double(nanoseconds.exponent) + nanoseconds.significand - 1) * barsPerDoubling
    }

    /// - Parameter title: what is told of it in full where the reader points at it.
    private func label(
        _ text: String, x: Double, y: Double, color: String = "black", weight: String = "normal", anchor: String = "start",
        title: String? = nil
    ) -> String {
        let title = title.map { "<title>\(escaped($0))</title>" } ?? ""
        return """
            <text x="\(number(x))" y="\(number(y))" fill="\(color)" font-weight="\(weight)" text-anchor="\(anchor)">\(title)\(escaped(text))</text>
            """
    }

    private func number(_ value: Double) -> String { fixed(value, decimals: 2) }

    /// Names may be anything.
    private func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "&": result += "&amp;"
            case "\"": result += "&quot;"
            default:
                // Control characters are no XML.
                result += character.unicodeScalars.allSatisfy { $0.value >= 32 || $0 == "\n" || $0 == "\t" } ? String(character) : "?"
            }
        }
    }
}
