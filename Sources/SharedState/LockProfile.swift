/// Where the time of a lock went, as it was at one moment: a value.
///
/// ```swift
/// let lock = try SharedLock(name: "the index", profiling: true)
/// …                                                     // any processes use it
/// print(lock.profile.wait.p99)
/// print(LockProfile.report())                           // a table of all profiled locks of the family
/// ```
///
/// Counts are exact (a process that is killed while it takes the lock may go uncounted, that once). Every wait is timed; of the holds those that had to wait,
/// and one in 64 of the others (more of a process's first few hundred): what is said of all holds is an estimate from ``Times/samples`` of them, each of which
/// stands for those since the last. All of it, histogram, sums and lines, is about the same holds, of which the last few of each process are not yet part. A
/// duration in a histogram, and so a percentile, is known to within a sixteenth.
public struct LockProfile: Sendable, Hashable, Codable {
    /// The lock's name; "a SharedLock" when it was given none.
    public internal(set) var name: String
    /// Which lock it is.
    public internal(set) var kind: LockKind
    /// Whether the lock keeps a profile. When it does not, there is nothing more.
    public internal(set) var isProfiled: Bool
    /// Where it was made.
    public internal(set) var created = CallSite(file: "", line: 0)
    /// Its place in the family's shared memory, which no other has as long as it lives.
    public internal(set) var place: UInt64 = 0
    /// How long it has been profiled.
    public internal(set) var age = Duration.zero

    /// How often it was taken.
    public internal(set) var acquisitions = 0
    /// How often whoever took it had to wait.
    public internal(set) var contended = 0
    /// How often it was taken by another thread than the last time.
    public internal(set) var ownerChanges = 0
    /// How often it was taken from an owner that had died.
    public internal(set) var ownerDeaths = 0
    /// How many waits ended without the lock: at a timeout, or as their task was cancelled.
    public internal(set) var timeouts = 0
    /// How long those have lasted in all.
    public internal(set) var waitedInVain = Duration.zero
    /// How many waits ended while the waiter was spinning, never having slept. Nil where the C library does not tell.
    public internal(set) var spun: Int?
    /// How many waits came to sleep. Nil where the C library does not tell.
    public internal(set) var slept: Int?
    /// How many times an owner called the kernel to wake a sleeper. Nil where the C library does not tell.
    public internal(set) var wakes: Int?

    /// Of those that had to wait.
    public internal(set) var wait = Times()
    /// Of all that took the lock; an estimate.
    public internal(set) var hold = Times()

    /// What each process did, the most frequent first.
    public internal(set) var processes: [ProcessShare] = []
    /// Where in the program it was waited for, the longest first. The last may be "elsewhere", line 0: what has no place in the profile.
    public internal(set) var waitingSites: [SiteTimes] = []
    /// Where in the program it was taken when it was held, the longest first; estimates.
    public internal(set) var holdingSites: [SiteTimes] = []
    /// The process that holds it at this moment, when it is known.
    public internal(set) var heldBy: Int32?

    init(name: String, kind: LockKind, isProfiled: Bool) {
        self.name = name
        self.kind = kind
        self.isProfiled = isProfiled
    }

    /// How much of ``acquisitions`` had to wait, 0 to 1.
    public var contendedShare: Double { acquisitions == 0 ? 0 : Double(contended) / Double(acquisitions) }

    /// What was spent waiting, by all together.
    public var timeLost: Duration { wait.total + waitedInVain }

    /// The part of the workers' time that this was: ``timeLost`` by ``age`` times the number of processes that took the lock, 0 to 1 when each has one thread
    /// that does.
    public var timeLostShare: Double {
        let all = age.seconds * Double(max(processes.reduce(0) { $0 + $1.count }, 1))
        return all > 0 ? timeLost.seconds / all : 0
    }

    /// What the process that took the lock least often did, by an equal share of all: 1 when all did the same. Processes that have ended do not count.
    public var fairness: Double {
        let live = processes.filter { !$0.hasEnded }.map(\.acquisitions)
        let sum = live.reduce(0, +)
        guard let least = live.min(), sum > 0 else { return 1 }
        return Double(least) * Double(live.count) / Double(sum)
    }
}

extension LockProfile {
    /// A line of the program.
    public struct CallSite: Sendable, Hashable, Codable, CustomStringConvertible {
        /// As `#fileID` has it: module and file.
        public let file: String
        /// Its number; 0 when it is not known.
        public let line: Int
        /// `Module/File.swift:12`.
        public var description: String { line == 0 ? file : "\(file):\(line)" }
    }

    /// Durations of one sort.
    public struct Times: Sendable, Hashable, Codable {
        /// How many there were.
        public internal(set) var count = 0
        /// How many of them were timed.
        public internal(set) var samples = 0
        /// The sum; of holds an estimate, of those in the ``histogram``.
        public internal(set) var total = Duration.zero
        /// The longest that was timed.
        public internal(set) var max = Duration.zero
        /// The median: what half of them were not longer than.
        public internal(set) var p50 = Duration.zero
        /// What 99 % were not longer than.
        public internal(set) var p99 = Duration.zero
        /// What 99.9 % were not longer than.
        public internal(set) var p999 = Duration.zero
        /// How many were how long, shortest first; only what there was.
        public internal(set) var histogram: [Bucket] = []

        /// The average of those in the histogram, which ``total`` is the sum of.
        public var mean: Duration {
            let number = histogram.reduce(0.0) { $0 + Double($1.count) }
            return number == 0 ? .zero : .nanoseconds(total.seconds * 1e9 / number)
        }
    }

    /// Durations from `start` to below `end`.
    public struct Bucket: Sendable, Hashable, Codable {
        /// The shortest.
        public let start: Duration
        /// Where the next bucket begins.
        public let end: Duration
        /// How many there were; of holds an estimate.
        public let count: Int
    }

    /// What one process did with the lock.
    public struct ProcessShare: Sendable, Hashable, Codable {
        /// Its pid; 0 for several together: processes that have ended and whose place in the family's table another has taken, or from the 192nd on.
        public let processIdentifier: Int32
        /// How many processes these are.
        public let count: Int
        /// Whether it has ended, or has done its last work and is about to. Until its parent has been told of a death, and for some microseconds after a child's
        /// result has come, it may still be false; after `join()` it is not.
        public let hasEnded: Bool
        /// How often it took the lock.
        public let acquisitions: Int
        /// The same as a part of all, 0 to 1.
        public let share: Double
        /// How often it had to wait.
        public let contended: Int
        /// How long, in all.
        public let waited: Duration
    }

    /// What a line of the program has to do with the lock's time.
    public struct SiteTimes: Sendable, Hashable, Codable {
        /// The line in which the lock was taken.
        public let site: CallSite
        /// How often.
        public let count: Int
        /// How long it was waited for, or held, in all.
        public let total: Duration
    }
}

extension Duration {
    /// As a floating-point number.
    var seconds: Double {
        let (whole, attoseconds) = components
        return Double(whole) + Double(attoseconds) * 1e-18
    }

    /// Rounded to a nanosecond; what is no number is 0.
    static func nanoseconds(_ count: Double) -> Duration {
        guard count.isFinite, count > 0 else { return .zero }
        return count < 9e18 ? .nanoseconds(Int64(count.rounded())) : .nanoseconds(Int64.max)
    }
}
