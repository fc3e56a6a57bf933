/// Whose turn it is under a ``SharedReadWriteLock``, in one word. Only who has the writers' lock writes it.
struct ReadWriteState: Equatable {
    // Bits 0–31 the phase: how many writers have been; 32: a writer has died, and no other has been told yet.
    let rawValue: UInt64

    init(rawValue: UInt64) { self.rawValue = rawValue }
    init(phase: UInt32, writerDied: Bool) { rawValue = UInt64(phase) | (writerDied ? 1 << 32 : 0) }

    var phase: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
    var writerDied: Bool { rawValue & 1 << 32 != 0 }

    /// After the turn of a writer.
    func next(writerDied: Bool) -> ReadWriteState { ReadWriteState(phase: phase &+ 1, writerDied: writerDied) }
}

/// A reader of a ``SharedReadWriteLock``, in one word. A free place is 0.
struct ReaderPlace: Equatable {
    // Bits 0–29 the reader's token; 30: it waits; 32–63: in which phase it began to.
    let rawValue: UInt64

    init(rawValue: UInt64) { self.rawValue = rawValue }
    init(_ token: UInt32) { rawValue = UInt64(token) }
    init(_ token: UInt32, waitingSince phase: UInt32) { rawValue = UInt64(token) | 1 << 30 | UInt64(phase) << 32 }

    static let free = ReaderPlace(rawValue: 0)

    var token: UInt32 { UInt32(truncatingIfNeeded: rawValue) & ThreadRecords.tokenMask }

    /// Whether a writer of `phase` has to let it read first: it reads now, or has waited since an earlier writer's turn.
    func precedes(writerOf phase: UInt32) -> Bool {
        self != .free && (rawValue & 1 << 30 == 0 || UInt32(truncatingIfNeeded: rawValue >> 32) != phase)
    }
}
