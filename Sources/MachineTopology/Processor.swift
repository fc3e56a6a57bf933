extension Machine {
    /// One processor as the scheduler counts them: a core, or one of the hardware threads of a core that has several (SMT).
    public struct Processor: Sendable, Hashable, Identifiable {
        /// The number that the kernel, `taskset` and ``Pinning/cpus(_:)`` use.
        public let id: Int

        /// Which core: the same number for hardware threads of one core, and for no others in the machine. Cores are counted
        /// from 0 by their first processor. -1 if the processor is offline: the kernel then tells no place for it.
        public let core: Int

        /// Which package (socket), by the kernel's number; -1 if the processor is offline.
        public let package: Int

        /// The ``Machine/Node`` whose memory is nearest; -1 if the processor is offline.
        public let node: Int

        /// The caches it uses, the nearest first; empty if the kernel does not tell, as many virtual machines do not.
        public let caches: [Cache]

        /// How fast a kind of processor it is, in machines with several kinds: 0 for the slowest (the most efficient), then
        /// 1 and so on. 0 for all in a machine of one kind.
        public let efficiencyClass: Int

        /// Whether it is in use at all.
        public let isOnline: Bool
    }

    /// One cache, as seen from a processor that uses it.
    public struct Cache: Sendable, Hashable {
        /// What a cache holds.
        public enum Kind: Sendable, Hashable {
            /// Data only.
            case data
            /// Instructions only.
            case instruction
            /// Both.
            case unified
        }

        /// 1 for the nearest.
        public let level: Int

        /// What it holds.
        public let kind: Kind

        /// Its size in bytes; 0 if the kernel does not tell.
        public let size: Int

        /// The ids of all processors that share it, ascending, the one that was asked included.
        public let sharedBy: [Int]
    }
}
