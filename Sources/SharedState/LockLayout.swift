/// Where things are in a lock's object, in bytes from its beginning; and in its profile, from the profile's.
///
/// Who writes what: a lock's profile is written by **the lock's owner, by plain stores**, so that it costs no atomic instruction, and a death between two of
/// them loses the event that was being written and no other. Exceptions are ``waker``, to which anybody adds atomically.
enum LockLayout {
    // MARK: The lock

    static let nameLength = 16
    /// The lock's word or mutex, on a line of its own, with the owner line of a profile behind it.
    static let lock = 64
    /// Who holds one of the C library's locks, which do not say so themselves: on the mutex's line, behind it, as both are used at every turn.
    static let owner = 112
    /// The profile, if there is one; then the name.
    static let rest = 128

    /// A name is cut off behind so many bytes.
    static let longestName = 120

    static func name(isProfiled: Bool) -> Int { rest + (isProfiled ? size : 0) }

    // MARK: The profile

    /// Never changes: which clock its ticks are of, the line that the lock was made in, when that was, and the file's name.
    static let clock = 0
    static let line = 4
    static let beganTicks = 8
    static let beganNanoseconds = 16
    static let fileLength = 24
    static let file = 32
    static let longestFile = 80

    /// The last owner's line (``LockProfileOwner``) of a lock of the C library's; the default lock has it beside its word.
    static let ownerLine = 128

    /// The longest wait and hold, and how many holds have been timed. How long in all is the sum of the call sites'.
    static let times = 192
    /// What processes did whose place another has taken, and what of that was being moved there.
    static let ended = 256
    /// Numbers to which those add who do not hold the lock.
    static let waker = 384

    /// One for each of the first slots of the process table; the last for all others, which then count as one process.
    static let entries = LockRecorder.entries
    static let entryCount = 192
    static let entrySize = LockRecorder.entrySize
    /// Waits and holds by ``DurationBuckets``.
    static let waits = entries + entryCount * entrySize
    static let holds = waits + DurationBuckets.count * 8
    static let sites = holds + DurationBuckets.count * 8
    /// The first for all that have no place of their own.
    static let siteCount = 64
    static let siteSize = 128

    static let size = sites + siteCount * siteSize

    /// What stands in an object's header, in place of the size of an element.
    static func code(_ kind: LockKind, isProfiled: Bool) -> Int { kind.code | (isProfiled ? 4 : 0) }

    /// What ``code(_:isProfiled:)`` stands for; nil for another number.
    static func kind(code: Int) -> (LockKind, isProfiled: Bool)? {
        guard let kind = LockKind.allCases.first(where: { $0.code == code & ~4 }) else { return nil }
        return (kind, code & 4 != 0)
    }
}

extension LockLayout {
    /// What one process did with the lock: a line that no other process writes, so that it stays where it is used.
    enum Entry {
        static let acquisitions = 0
        /// When the count is this, a hold is timed.
        static let nextSample = 8
        static let random = 16
        static let identity = 24
        static let pid = 28
        static let contended = 32
        static let waited = 40
        static let slept = 48
        /// How many of the takings that did not wait the timed ones stand for.
        static let represented = 56
    }

    /// Beside the lock.
    enum Owner {
        static let last = 0
        /// Bits 0–7 the call site of a hold that is being timed, 16–31 how many holds it stands for.
        static let hold = 4
        static let changes = 8
        static let deaths = 16
        /// When the hold began that is being timed, or 0; also where there is no profile.
        static let holdStart = 24
        static let size = 32
    }

    enum Times {
        static let longestWait = 0
        static let longestHold = 8
        /// How many holds have been timed.
        static let samples = 16
    }

    enum Ended {
        static let acquisitions = 0
        static let contended = 8
        static let waited = 16
        static let slept = 24
        static let processes = 32
        /// What the five become, and which entry is then cleared: its number + 1, or 0.
        static let next = 64
        static let moving = 104
    }

    enum Waker {
        static let wakes = 0
        static let givenUp = 8
        static let givenUpTicks = 16
    }

    enum Site {
        /// A hash of file and line, never 0 when the site is there.
        static let key = 0
        static let waits = 8
        static let waited = 16
        static let holds = 24
        static let held = 32
        static let line = 40
        static let fileLength = 44
        static let file = 48
    }
}
