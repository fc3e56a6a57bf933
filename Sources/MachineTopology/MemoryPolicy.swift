/// From which memory nodes a worker's memory comes.
///
/// It counts from when the worker starts, for memory that is touched for the first time from then on. What was set is read
/// back from the kernel. On a machine with one memory node every policy that names no other node does the same and succeeds.
public enum MemoryPolicy: Sendable, Hashable {
    /// As the host has it: the node of the processor that touches a page first, unless the host runs under another policy
    /// (`numactl`).
    case `default`

    /// The node of the processor that touches a page first, whatever policy the host runs under; other nodes when that is full.
    case local

    /// This node and no other: when it is full, the worker fails, even if others have room.
    case bind(Int)

    /// Page by page from each node in turn that the process may use: the same speed from everywhere, and the bandwidth of all.
    case interleave
}
