extension Machine {
    /// A memory node (NUMA): memory, and the processors that are near it.
    public struct Node: Sendable, Hashable, Identifiable {
        /// The number that the kernel, ``Pinning/nodes(_:)`` and ``MemoryPolicy/bind(_:)`` use.
        public let id: Int

        /// The ids of its online processors, ascending; empty for a node of memory alone.
        public let processors: [Int]

        /// Its memory in bytes; 0 if the kernel does not tell.
        public let memorySize: Int

        /// How much of that was free when this was read, in bytes. What caches of files hold is not counted as free.
        public let freeMemory: Int

        /// How far the memory of each node is from here, by the node's id, in the firmware's unit: 10 is this node's own, 20
        /// twice as slow.
        public let distances: [Int: Int]
    }
}
