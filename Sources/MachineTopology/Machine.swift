/// The processors, caches and memory of this machine, and how much of them this process may use.
///
/// ```swift
/// let machine = Machine.current
/// print("\(machine.availableProcessors.count) of \(machine.processors.count) processors on \(machine.nodes.count) nodes")
/// ```
///
/// A value: it tells how things were when it was made.
public struct Machine: Sendable {
    /// All processors, the offline ones too, by ascending id; never empty.
    public let processors: [Processor]

    /// All memory nodes that are online, by ascending id; never empty: a machine without NUMA is one node, 0.
    public let nodes: [Node]

    let allowance: Allowance

    /// The ids of the processors that the calling thread may run on, ascending; never empty: those of its affinity mask that
    /// its control group (container) allows too.
    public var availableProcessors: [Int] { allowance.processors }

    /// How many processors' worth of time the control groups (containers) around this process grant it: 1.5 is one and a
    /// half; nil if that is not limited. It may be more than there are processors.
    public var cpuQuota: Double? { allowance.quota }

    /// How many workers can run at the same time: the available processors, or the quota rounded up if that is less; at
    /// least 1. Who wants nothing else reads ``Allowance/current``, which is far cheaper.
    package var defaultWorkerCount: Int { allowance.workerCount }

    /// The machine as it is now.
    ///
    /// Reads some ten small files and up to twenty more for each processor: 0.4 ms on a machine of two processors, some 10 ms
    /// on one of 128. So keep the value rather than ask again and again. Never fails: what the kernel does not tell is left
    /// out or assumed to be uniform.
    public static var current: Machine {
        Machine(root: "/", affinity: currentAffinity())
    }

    /// The machine whose /sys and /proc are below `root`, for a thread with this affinity; nil: any processor that is online.
    package init(root: String, affinity: [Int]? = nil) {
        let files = SystemFiles(root: root)
        let topology = TopologyReader(files: files, fallback: affinity ?? [0])
        let online = topology.processors.filter(\.isOnline).map(\.id)
        self.init(
            processors: topology.processors, nodes: topology.nodes,
            allowance: Allowance(files: files, affinity: affinity, online: online))
    }

    init(processors: [Processor], nodes: [Node], allowance: Allowance) {
        self.processors = processors
        self.nodes = nodes
        self.allowance = allowance
    }
}
