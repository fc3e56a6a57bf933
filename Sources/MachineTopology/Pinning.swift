/// Which processors each worker of a pool may run on.
///
/// Only processors that the process may use are given out (``Machine/availableProcessors``); with more workers than
/// processors, the order starts again. What was set is read back from the kernel: a worker runs where it was asked to, or an
/// error says why not.
public enum Pinning: Sendable, Hashable {
    /// Where the kernel likes, within what the host itself may use.
    case none

    /// One processor each, as near to each other as possible, so that workers share caches and memory: the hardware threads of
    /// a core first, then the cores of a cache, of a node, of a package. For workers that talk to each other a lot.
    case compact

    /// One processor each, as far from each other as possible, so that each has the most cache and memory bandwidth: across
    /// packages, then nodes, caches and cores; second hardware threads of a core come last. For workers on their own.
    case spread

    /// Worker `i` on the one processor `cpus[i % cpus.count]`.
    case cpus([Int])

    /// Worker `i` on any available processor of the memory node `nodes[i % nodes.count]`.
    case nodes([Int])
}
