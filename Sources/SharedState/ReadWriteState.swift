/// Who writes under a ``SharedReadWriteLock``, in one word.
struct ReadWriteState: Equatable {
    // Bits 0–29 the token of the writer, who has entered or waits for the readers to leave, 0: none; 30: the last writer has died, and no other has been
    // told yet; 32–63 the phase: how many writers have been.
    let rawValue: UInt64

    init(rawValue: UInt64) { self.rawValue = rawValue }

    init(phase: UInt32, writer: UInt32 = 0, writerDied: Bool) {
        rawValue = UInt64(writer) | (writerDied ? 1 << 30 : 0) | UInt64(phase) << 32
    }

    var writer: UInt32 { UInt32(truncatingIfNeeded: rawValue) & ThreadRecords.tokenMask }
    var writerDied: Bool { rawValue & 1 << 30 != 0 }
    var phase: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }

    /// With `token` as its writer. One that stands there already is dead, since the new one has the writers' lock.
    func taken(by token: UInt32) -> ReadWriteState {
        writer == 0 || writer == token
            ? ReadWriteState(phase: phase, writer: token, writerDied: writerDied)
            : ReadWriteState(phase: phase &+ 1, writer: token, writerDied: true)
    }
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
