import Glibc

/// Numbers along a line: where each is, from 0 to 1, and where marks belong.
struct Axis {
    enum Scale {
        case linear
        /// For values above 0; others have no place.
        case logarithmic
    }

    let scale: Scale
    let low: Double
    let high: Double

    /// From 0, or from a mark below them all, to one above them all. Values that have no place on it count for nothing.
    init(_ scale: Scale, holding values: some Sequence<Double>) {
        self.scale = scale
        let usable = values.filter { $0.isFinite && (scale == .linear || $0 > 0) }
        let (least, most) = (usable.min() ?? 1, usable.max() ?? 1)
        switch scale {
        case .linear:
            low = 0
            high = max(most, 1)
        case .logarithmic:
            low = Self.marks(least).last { $0 <= least } ?? least
            let top = Self.marks(most).first { $0 >= most } ?? most
            high = top > low ? top : low * 10
        }
    }

    /// 0 at the low end, 1 at the high; nil for what has no place.
    func position(_ value: Double) -> Double? {
        guard value.isFinite else { return nil }
        switch scale {
        case .linear: return (value - low) / (high - low)
        case .logarithmic: return value > 0 ? log(value / low) / log(high / low) : nil
        }
    }

    /// Where to put marks: a handful.
    var marks: [Double] {
        switch scale {
        case .linear: return (0...4).map { low + (high - low) * Double($0) / 4 }
        case .logarithmic:
            var all: [Double] = []
            var decade = low
            while decade <= high * 10 {
                all += Self.marks(decade)
                decade *= 10
            }
            let within = Set(all).filter { $0 >= low * 0.999 && $0 <= high * 1.001 }.sorted()
            // Up to three decades with steps between; more, powers of ten alone.
            return high / low <= 1000 ? within : within.filter { mark in (log10(mark) - log10(mark).rounded()).magnitude < 0.01 }
        }
    }

    /// The marks of the decade of a value and of those beside it.
    private static func marks(_ value: Double) -> [Double] {
        let exponent = Int(log10(value).rounded(.down))
        return (exponent - 1...exponent + 1).flatMap { power in [1.0, 2, 5].map { $0 * pow(10, Double(power)) } }
    }

    /// A mark in few letters.
    static func label(_ value: Double) -> String {
        for (unit, letter) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] where value >= unit { return short(value / unit) + letter }
        return short(value)
    }

    private static func short(_ value: Double) -> String {
        let text = fixed(value, decimals: value >= 10 ? 0 : value >= 0.1 ? 2 : 5)
        guard text.contains(".") else { return text }
        let trimmed = text.reversed().drop { $0 == "0" }.drop { $0 == "." }
        return String(trimmed.reversed())
    }
}
