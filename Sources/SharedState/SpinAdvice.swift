import Glibc
import Synchronization
import SystemLayer

/// Whether who waits should keep the processor for a while before it sleeps: when there are processors to spare, and else as long as that has paid in the same queue.
///
/// Which processes could use a processor now is not known exactly: one whose threads all sleep counts among them, unless it is a worker without work. So where they
/// seem to be too many it is tried. What is waited for comes from a thread that runs at the same time, or it does not; after a few spins in vain there are fewer and
/// fewer. A word that all who wait share says how many there were; it is advice, and written without care.
struct SpinAdvice {
    let word: UnsafeMutablePointer<Atomic<UInt64>>
    let arena: Arena

    /// For how long, in ns: half of what a sleep and a wake-up cost.
    static let length: UInt64 = 20_000
    /// Between two looks at what others write, at first.
    static let firstPause: UInt64 = 50
    private static let processors = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    /// From how many in vain on there are fewer, and of how many there is one at least, as a power of two.
    private static let patience: UInt64 = 3
    private static let fewest: UInt64 = 8

    var maySpin: Bool {
        guard Self.processors > 1 else { return false }
        let inVain = word.pointee.load(ordering: .relaxed)
        if inVain < Self.patience || RunnableProcesses.count(in: arena) <= Self.processors { return true }
        // The clock's lowest bits are as good as drawn.
        return monotonicNow() >> 4 & (1 << min(inVain - Self.patience + 1, Self.fewest) - 1) == 0
    }

    func note(paid: Bool) {
        let inVain = word.pointee.load(ordering: .relaxed)
        let next = paid ? inVain / 2 : min(inVain + 1, Self.patience + Self.fewest)
        // Mostly it says so already, and its cache line is the notifiers', too.
        if next != inVain { word.pointee.store(next, ordering: .relaxed) }
    }
}
