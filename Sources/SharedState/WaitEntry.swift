import Synchronization
import SystemLayer

/// What an entry of a ``WaitQueue`` says, in one word: every move is one compare-and-swap, or a store by the only one who may touch it.
///
/// Bits 0–29 the token of the thread that waits, 30–31 the phase; on this half the thread sleeps. Bits 32–63: its ticket. A free entry is 0.
struct WaitEntry: Equatable {
    let rawValue: UInt64

    enum Phase: UInt64 {
        /// Waiting, and not asleep: whoever notifies it need not ask the kernel for anything.
        case awake
        case asleep
        /// From here on only its own thread touches the entry, or who settles that thread's death.
        case notified
        case cancelled
    }

    init(rawValue: UInt64) { self.rawValue = rawValue }

    init(_ phase: Phase, token: UInt32, ticket: UInt32) {
        rawValue = UInt64(token) | phase.rawValue << 30 | UInt64(ticket) << 32
    }

    static let free = WaitEntry(rawValue: 0)

    var token: UInt32 { UInt32(truncatingIfNeeded: rawValue) & ThreadRecords.tokenMask }
    /// Means something only in an entry that is not free.
    var phase: Phase { Phase(rawValue: rawValue >> 30 & 3) ?? .awake }
    var ticket: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
    /// The half that its thread sleeps on.
    var sleepingWord: UInt32 { UInt32(truncatingIfNeeded: rawValue) }

    /// Whether it is to be notified.
    var isWaiting: Bool { self != .free && (phase == .awake || phase == .asleep) }

    func changed(to phase: Phase) -> WaitEntry { WaitEntry(phase, token: token, ticket: ticket) }
}

/// An entry's place.
struct WaitEntryPlace: @unchecked Sendable {
    // Unchecked: the word is only used atomically.
    let word: UnsafeMutablePointer<Atomic<UInt64>>
    /// The half that its thread sleeps on.
    let sleepingWord: FutexWord

    init(_ offset: Int, in arena: Arena) {
        word = arena.word(offset)
        sleepingWord = arena.word32(offset)
    }

    func load() -> WaitEntry { WaitEntry(rawValue: word.pointee.load(ordering: .acquiring)) }
    func store(_ entry: WaitEntry) { word.pointee.store(entry.rawValue, ordering: .releasing) }

    func replace(_ current: WaitEntry, by desired: WaitEntry) -> Bool {
        word.pointee.compareExchange(expected: current.rawValue, desired: desired.rawValue, ordering: .acquiringAndReleasing).exchanged
    }

    /// Ends the wait of an entry that was seen as `current`.
    /// - Returns: false when it has changed since.
    func end(_ current: WaitEntry, as phase: WaitEntry.Phase) -> Bool {
        guard replace(current, by: current.changed(to: phase)) else { return false }
        if current.phase == .asleep { sleepingWord.wake() }
        return true
    }
}
