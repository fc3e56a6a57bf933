import CMultiprocessing
import Synchronization

/// The first word of a worker's launch, on which a worker that is there ahead of its work sleeps (see `mp_forkserver.h`).
///
/// open → given → taken, or open → withdrawn. Only the host makes the first move, only the worker the second.
package struct LaunchWord: @unchecked Sendable {
    // Unchecked: both words are written before they are published.
    private let word: FutexWord
    private let flags: UnsafeMutablePointer<UInt32>
    private let ready: FutexWord

    /// - Parameter place: where the launch lies.
    package init(at place: UnsafeMutableRawPointer) {
        word = place.assumingMemoryBound(to: Atomic<UInt32>.self)
        flags = (place + 4).assumingMemoryBound(to: UInt32.self)
        ready = (place + 8).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    /// Of new memory: from here on a worker can wait for it.
    package func open() {
        ready.pointee.store(0, ordering: .relaxed)
        word.pointee.store(MP_LAUNCH_OPEN.rawValue, ordering: .releasing)
    }

    /// Tells the worker to begin. Everything it is to read has been written before.
    package func give(ignoresInterrupt: Bool) {
        flags.pointee = ignoresInterrupt ? UInt32(MP_LAUNCH_IGNORES_INTERRUPT) : 0
        word.pointee.store(MP_LAUNCH_GIVEN.rawValue, ordering: .sequentiallyConsistent)
        word.wakeAll()
    }

    /// Tells the worker that it is not needed: it ends.
    package func withdraw() {
        word.pointee.store(MP_LAUNCH_WITHDRAWN.rawValue, ordering: .releasing)
        word.wakeAll()
    }

    /// Whether a worker waits that has nothing left to do ahead.
    package var isReady: Bool { ready.pointee.load(ordering: .acquiring) != 0 }

    /// Whether the worker has begun. One that ended without that has done nothing.
    package var isTaken: Bool { word.pointee.load(ordering: .acquiring) == MP_LAUNCH_TAKEN.rawValue }
}
