import Synchronization
import SystemLayer

/// Which processes of the family could use a processor now: all but the pool workers that sleep. Waiting without giving up the processor is right only while there
/// are no more of them than there are processors.
///
/// It is advice: a bit that is wrong for a moment costs time, and nothing else.
package enum RunnableProcesses {
    private static let words = ArenaLayout.processCapacity / 64

    private static func word(_ i: Int, in arena: Arena) -> UnsafeMutablePointer<Atomic<UInt64>> { arena.word(ArenaHeader.runnable + i * 8) }

    package static func add(_ identity: ProcessIdentity, in arena: Arena) {
        word(Int(identity.slot) / 64, in: arena).pointee.bitwiseOr(1 << (UInt64(identity.slot) % 64), ordering: .relaxed)
    }

    package static func remove(_ identity: ProcessIdentity, in arena: Arena) {
        word(Int(identity.slot) / 64, in: arena).pointee.bitwiseAnd(~(1 << (UInt64(identity.slot) % 64)), ordering: .relaxed)
    }

    /// Some ten nanoseconds.
    package static func count(in arena: Arena) -> Int {
        (0..<words).reduce(0) { $0 + word($1, in: arena).pointee.load(ordering: .relaxed).nonzeroBitCount }
    }
}
