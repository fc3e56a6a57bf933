/// A ratio that is to be reached. (Where it is missed, the reader should see so at the figure itself.)
package struct Goal: Sendable {
    package let metric: String
    package let baseline: String
    package let ratio: Double

    /// The goals of the project, for the metrics that have one.
    package static let all: [Goal] = [
        Goal("dispatch.map", "python.ProcessPoolExecutor", 1000), Goal("dispatch.map", "swift.TaskGroup", 1),
        Goal("dispatch.map", "c.pipes", 8),
        Goal("dispatch.submit", "python.ProcessPoolExecutor", 300),
        Goal("roundtrip.awake", "c.hybrid", 0.5), Goal("roundtrip.awake", "python.Pool.apply", 1000),
        Goal("roundtrip.asleep", "c.futex", 0.87),
        Goal("lock.alone", "c.tid-futex", 0.9),
        Goal("lock.contended", "c.pthread-robust", 4.5), Goal("lock.contended", "c.pthread-normal", 3),
        Goal("lock.contended", "python.Value.get_lock", 200), Goal("lock.oversubscribed", "c.pthread-best", 0.95),
        Goal("payload.result", "c.copy-out", 0.95), Goal("payload.result", "python.ProcessPoolExecutor", 6),
        Goal("payload.borrowed", "c.memcpy-reused", 0.95), Goal("payload.in-place", "roundtrip.awake", 0.5),
        Goal("spawn.process", "c.fork", 0.75), Goal("spawn.process", "python.Process", 11), Goal("spawn.pool", "python.Pool", 9),
        Goal("recover", "c.refork", 0.5), Goal("memory.worker", "python.Pool", 5),
        Goal("count.rate", "c.count", 0.98), Goal("count.scaling", "c.count", 0.99),
        Goal("profiler.on", "SharedLock.plain", 0.9), Goal("profiler.off", "SharedLock.bare", 0.98),
    ]

    private init(_ metric: String, _ baseline: String, _ ratio: Double) {
        (self.metric, self.baseline, self.ratio) = (metric, baseline, ratio)
    }
}

extension Figure {
    /// What it is to reach; nil when nothing was said.
    package var goal: Double? { Goal.all.first { $0.metric == metric && $0.baseline == baseline }?.ratio }

    /// Whether the interval contains the goal or is above it; nil without a goal.
    package var meetsGoal: Bool? { goal.map { ratio.high >= $0 } }
}
