/// The state of a task slot: its phase, who is on it, and which use of the slot this is. Every move is one compare-and-swap on this word, so that after the
/// death of a worker at any instruction the words tell which task, if any, was its.
///
/// Bits 0–3 phase, 4–7 flags, 8–18 the worker's index + 1, 19–31 the lowest bits of the number of the use, 32–63 that number. The lower half is a futex
/// word: it has a part of the use's number so that nobody falls asleep on the task that has come after the one they mean.
struct SlotWord: Equatable, BitwiseCopyable {
    let rawValue: UInt64

    enum Phase: UInt64 {
        /// In the host's list of free slots, or being filled by the host.
        case free
        /// Published: any worker may claim it.
        case ready
        /// Taken by a worker.
        case claimed
        /// The worker has stored a result.
        case value
        /// The worker has stored an error.
        case error
        /// Given up by the host while its worker was on it: that worker is being killed, and can no longer finish it.
        case condemned
        /// A thread of the host is taking the result out.
        case draining
    }

    /// Somebody sleeps on the word: whoever ends the task wakes them.
    static let waiter: UInt64 = 1 << 4
    /// The supervisor wants to hear of the end.
    static let supervised: UInt64 = 1 << 5
    /// Nobody is left to be told of the end.
    static let abandoned: UInt64 = 1 << 6

    init(rawValue: UInt64) { self.rawValue = rawValue }

    init(_ phase: Phase, use: UInt32, flags: UInt64 = 0) {
        rawValue = phase.rawValue | flags | UInt64(use & 0x1fff) << 19 | UInt64(use) << 32
    }

    var phase: Phase { Phase(rawValue: rawValue & 15).unsafelyUnwrapped }
    var use: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
    /// The index of the worker, or -1.
    var worker: Int { Int(rawValue >> 8 & 0x7ff) - 1 }
    var hasWaiter: Bool { rawValue & Self.waiter != 0 }
    var isSupervised: Bool { rawValue & Self.supervised != 0 }
    var isAbandoned: Bool { rawValue & Self.abandoned != 0 }
    /// Whether anybody has asked to hear of the end.
    var hasFlags: Bool { rawValue & (Self.waiter | Self.supervised) != 0 }
    /// Whether a worker has ended the task and nobody has taken the result yet.
    var isFinished: Bool { phase == .value || phase == .error }

    func moved(to phase: Phase) -> SlotWord { SlotWord(rawValue: rawValue & ~15 | phase.rawValue) }
    func claimed(by worker: Int) -> SlotWord { SlotWord(rawValue: rawValue & ~0x7ff0f | Phase.claimed.rawValue | UInt64(worker + 1) << 8) }
    func with(flag: UInt64) -> SlotWord { SlotWord(rawValue: rawValue | flag) }
    /// Published again after its worker's death.
    var retried: SlotWord { SlotWord(rawValue: rawValue & ~0x7ff0f | Phase.ready.rawValue) }

    /// What a thread sleeps on.
    var futexValue: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
}
