import Synchronization

extension SharedLock {
    /// Where this lock's time went, in all processes, until now. Of a lock that was made without `profiling: true` it has the name and the kind, and nothing else.
    ///
    /// Does not take the lock, and does not disturb those who do. Takes some 50 µs; up to 2 ms when the lock is younger than that, to know the clock's rate.
    public var profile: LockProfile {
        let reader = ArenaReader(source: OwnArena(arena: arena))
        if recorder != nil, let word = arena.blockWord(at: block.offset) {
            // This handle keeps it there.
            let offset = UnsafeRawPointer(word) - UnsafeRawPointer(arena.base)
            if let profile = reader.profile(ofBlockAt: block.offset, word: offset) { return profile }
        }
        return LockProfile(name: name, kind: kind, isProfiled: false)
    }
}

extension LockProfile {
    /// The profiles of all locks of the calling process's family that keep one, those with the most time lost first.
    ///
    /// Does not disturb who uses the locks. Takes some 50 µs for each.
    public static func all() -> [LockProfile] {
        guard let arena = try? Arena.current() else { return [] }
        return sorted(ArenaReader(source: OwnArena(arena: arena)).profiles())
    }

    /// The profiles of all locks of the family that the process `pid` is of, host or worker. It need not have to do with the calling process, but the caller must be
    /// allowed to read its memory: the same user, or root.
    ///
    /// - Throws: ``SharedMemoryError`` when there is no such process, when it shares no memory, or when that may not be read.
    public static func all(ofProcess pid: Int32) throws -> [LockProfile] {
        sorted(ArenaReader(source: try ForeignArena.find(ofProcess: pid)).profiles())
    }

    /// Whether the process `pid` has ended, though its parent may not have asked after it yet: why ``all(ofProcess:)`` may have thrown.
    package static func hasEnded(process pid: Int32) -> Bool { ForeignArena.hasEnded(pid) }

    static func sorted(_ profiles: [LockProfile]) -> [LockProfile] { profiles.sorted { ($0.timeLost, $1.name) > ($1.timeLost, $0.name) } }
}
