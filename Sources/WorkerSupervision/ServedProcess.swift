import SharedState
import SystemLayer

/// A process that the fork server makes for this host: still a spare, reserved for a start that is being prepared, or at work.
///
/// A spare waits at an open launch. It is there before anybody needs it, so that a start costs no fork: only saying what to do. See README.md, "A worker's life".
final class ServedProcess: @unchecked Sendable {
    // Unchecked: the monitor's lock guards what changes.

    /// What its owner is told, on the monitor's thread or on the one that starts it, with the monitor's lock held by which the order is kept: to be quick.
    struct Owner: Sendable {
        /// Which process it is. Told again when that process was killed before it had begun, and another has taken its place.
        let runs: @Sendable (ProcessDescriptor) -> Void
        /// Told once, after `runs`, on the monitor's thread and without its lock.
        let ended: @Sendable (TerminationStatus) -> Void
    }

    let launch: LaunchBlock
    /// Whether it starts the image anew; then it is not made before its launch is given.
    let freshImage: Bool
    /// Whether it was asked for when nobody needed it: what becomes of it until its owner's work has begun costs the owner nothing.
    var isAhead: Bool
    var isReserved = false
    /// Whether there is no process now, and one has to be asked for.
    var isMissing: Bool
    var descriptor: ProcessDescriptor?
    /// nil before the start.
    var owner: Owner?
    /// How the process ended that another is to take the place of.
    var lostTo: TerminationStatus?
    /// Answered when the process is there, or cannot be.
    var arrival = Reply<Void>()

    init(_ launch: LaunchBlock, freshImage: Bool, isAhead: Bool) {
        self.launch = launch
        self.freshImage = freshImage
        self.isAhead = isAhead
        isMissing = true
    }

    /// Gives back what it stands for in shared memory. Its process has ended, or there never was one.
    func free() {
        ProcessTable.reclaim(launch.identity, in: launch.arena)
        launch.free()
    }
}
