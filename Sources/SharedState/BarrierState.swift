import Synchronization

/// What the first word of a ``SharedBarrier`` says. Every move is one compare-and-swap.
struct BarrierState: Equatable {
    // Bits 0–31 the generation, 32–33 the phase, 34–36 why it broke, 37–39 why the next generation breaks at once, 40–61 the pid of who has died.
    let rawValue: UInt64

    enum Phase: UInt64 {
        /// Parties come.
        case filling
        /// All have come, and not all have left.
        case draining
        case broken
        /// As soon as all have left who had come, the next generation begins.
        case resetting
    }

    enum Cause: UInt64 { case none, aborted, timedOut, cancelled, partyDied, reset }

    init(rawValue: UInt64) { self.rawValue = rawValue }

    init(_ generation: UInt32, _ phase: Phase, cause: Cause = .none, pending: Cause = .none, pid: UInt32 = 0) {
        rawValue =
            UInt64(generation) | phase.rawValue << 32 | cause.rawValue << 34 | pending.rawValue << 37 | UInt64(pid & 0x3f_ffff) << 40
    }

    var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
    var phase: Phase { Phase(rawValue: rawValue >> 32 & 3) ?? .broken }
    var cause: Cause { Cause(rawValue: rawValue >> 34 & 7) ?? .none }
    var pending: Cause { Cause(rawValue: rawValue >> 37 & 7) ?? .none }
    var pid: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 40 & 0x3f_ffff) }

    /// What those see who were in it when it broke.
    var error: BrokenBarrier {
        switch cause {
        case .none, .aborted: BrokenBarrier(cause: .aborted)
        case .timedOut: BrokenBarrier(cause: .timedOut)
        case .cancelled: BrokenBarrier(cause: .cancelled)
        case .partyDied: BrokenBarrier(cause: .partyDied(processIdentifier: Int32(pid)))
        case .reset: BrokenBarrier(cause: .reset)
        }
    }

    /// The state after it has been broken; itself where that changes nothing.
    func broken(_ cause: Cause, pid: UInt32) -> BarrierState {
        switch phase {
        case .filling: BarrierState(generation, .broken, cause: cause, pid: pid)
        // Those who have come pass, or know already: it is the next generation that nobody can pass.
        case .draining, .resetting:
            pending == .none
                ? BarrierState(generation, phase, cause: self.cause, pending: cause, pid: self.cause == .partyDied ? self.pid : pid) : self
        case .broken: self
        }
    }

    /// The state after `reset`.
    var reset: BarrierState {
        switch phase {
        case .filling: BarrierState(generation, .resetting, cause: .reset)
        case .broken: BarrierState(generation, .resetting, cause: cause, pid: pid)
        case .draining: BarrierState(generation, .draining)
        case .resetting: BarrierState(generation, .resetting, cause: cause, pid: pid)
        }
    }

    /// The state once all have left.
    var next: BarrierState {
        pending == .none
            ? BarrierState(generation &+ 1, .filling) : BarrierState(generation &+ 1, .broken, cause: pending, pid: pid)
    }
}

/// What a place of a barrier says: whose it is (bits 0–31, 0: nobody's), and in which generation (32–63). A free place can be taken in that generation only:
/// who has read the state long ago takes none in another.
///
/// Its owner is a thread, by its token; or, with bit 31, a task of a process, by the process's identity.
struct BarrierPlace: Equatable {
    let rawValue: UInt64

    private static let isOfTask: UInt32 = 1 << 31

    init(rawValue: UInt64) { self.rawValue = rawValue }
    init(of token: UInt32, in generation: UInt32) { rawValue = UInt64(token) | UInt64(generation) << 32 }
    init(ofTaskIn process: ProcessIdentity, in generation: UInt32) { self.init(of: process.bits | Self.isOfTask, in: generation) }
    static func free(in generation: UInt32) -> BarrierPlace { BarrierPlace(of: 0, in: generation) }

    private var owner: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
    var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
    var isFree: Bool { owner == 0 }

    /// Whether its owner can still leave it.
    func isLive(in arena: Arena) -> Bool {
        owner & Self.isOfTask != 0 ? ProcessTable.isLive(owner & ~Self.isOfTask, in: arena) : ThreadRecords.isLive(owner, in: arena)
    }
}
