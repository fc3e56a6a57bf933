import CMultiprocessing
import Glibc
import Synchronization
import SystemLayer

/// Something to read an arena's words from: this process's memory, or another's file.
protocol ArenaSource {
    /// The arena's, in bytes.
    var length: Int { get }
    /// `count` words from `offset` on, a multiple of 8; nil where there is nothing.
    func words(_ count: Int, at offset: Int) -> [UInt64]?
}

/// The arena of the calling process's own family.
struct OwnArena: ArenaSource {
    let arena: Arena

    var length: Int { arena.length }

    func words(_ count: Int, at offset: Int) -> [UInt64]? {
        guard offset >= 0, count >= 0, offset <= arena.length, count <= (arena.length - offset) / 8 else { return nil }
        return (0..<count).map { arena.word(offset + $0 * 8).pointee.load(ordering: .relaxed) }
    }
}

/// The arena of another family: the anonymous file behind one of its processes' descriptors.
///
/// It is read by `pread`, not mapped. A mapping would end the reader when the file shrinks, and give memory to the file's holes; a copy by the kernel does neither,
/// and aligned words are whole in it, as the kernel copies no smaller pieces of them.
final class ForeignArena: ArenaSource {
    private let file: FileDescriptor

    /// - Throws: ``SharedMemoryError`` that says which of the reasons there are it is: no such process, no permission, or nothing shared.
    static func find(ofProcess pid: Int32) throws -> ForeignArena {
        guard pid > 0 else {
            throw SharedMemoryError("\(pid) is no process's number. Pass the pid of a program that uses Multiprocessing, or of a worker.")
        }
        guard let folder = opendir("/proc/\(pid)/fd") else {
            let reason = errno
            throw reason == ENOENT
                ? SharedMemoryError("There is no process \(pid) (any more).")
                : SharedMemoryError(
                    """
                    The memory of process \(pid) may not be read (\(String(cString: strerror(reason)))). Ask as the user it runs as, or as root.
                    """)
        }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            let path = "/proc/\(pid)/fd/\(name)"
            guard target(path).hasPrefix("/memfd:multiprocessing") else { continue }
            let number = open(path, O_RDONLY | O_CLOEXEC)
            guard number >= 0 else { continue }
            let arena = ForeignArena(owning: number)
            if arena.words(1, at: ArenaHeader.magic) == [ArenaHeader.magicValue] { return arena }
        }
        // Its descriptors go first, its number when its parent has asked after it.
        if hasEnded(pid) { throw SharedMemoryError("There is no process \(pid) any more: it has ended.") }
        throw SharedMemoryError(
            """
            Process \(pid)\(name(pid)) shares no memory by Multiprocessing. Pass the pid of a program that does, or of one of its workers; a program \
            begins to when it makes its first pool, process or shared object.
            """)
    }

    private init(owning number: Int32) { file = FileDescriptor(owning: number) }

    var length: Int {
        var information = stat()
        return fstat(file.number, &information) == 0 ? Int(information.st_size) : 0
    }

    private static func target(_ link: String) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let start = buffer.baseAddress else { return "" }
            let count = readlink(link, start, buffer.count)
            return String(decoding: UnsafeRawBufferPointer(start: start, count: max(count, 0)), as: UTF8.self)
        }
    }

    /// Whether `pid` has ended, or is about to: with nothing more than its number, which its parent has not asked after yet.
    static func hasEnded(_ pid: Int32) -> Bool {
        guard let text = textOfSmallFile("/proc/\(pid)/stat") else { return kill(pid, 0) != 0 && errno == ESRCH }
        // What follows the name: the state, …, and as the seventh the flags, of which one says that it is exiting. A name may have parentheses of its own.
        guard let end = text.lastIndex(of: ")") else { return false }
        let fields = text[text.index(after: end)...].split(separator: " ")
        let isExiting = fields.count > 6 && UInt32(fields[6]).map { $0 & 4 != 0 } == true
        return fields.first == "Z" || fields.first == "X" || isExiting
    }

    /// What `ps` calls it, in parentheses.
    private static func name(_ pid: Int32) -> String {
        guard let text = textOfSmallFile("/proc/\(pid)/comm"), let line = text.split(separator: "\n").first else { return "" }
        return " (\(line))"
    }

    func words(_ count: Int, at offset: Int) -> [UInt64]? {
        guard count >= 0, offset >= 0 else { return nil }
        var done = 0
        let words = [UInt64](unsafeUninitializedCapacity: count) { buffer, initialized in
            let bytes = UnsafeMutableRawBufferPointer(buffer)
            while done < bytes.count {
                let n = pread(file.number, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
                if n < 0 && errno == EINTR { continue }
                if n <= 0 { break }
                done += n
            }
            initialized = done / 8
        }
        return words.count == count ? words : nil
    }
}

/// Finds locks in an arena, of which nothing is believed that was not checked.
struct ArenaReader {
    let source: any ArenaSource

    /// The profile of the lock at `offset`; nil when there is none (any more).
    func profile(ofBlockAt offset: Int, word wordOffset: Int) -> LockProfile? {
        // Others go on meanwhile. When the lock has been freed since, the copy is of whatever came after it; when it changed hands, the parts may not fit
        // together: then it is copied again, but not for ever, as it may change hands all the time.
        for attempt in 1...8 {
            guard let before = source.words(1, at: wordOffset)?.first, BlockWord(rawValue: before).kind == .object,
                let snapshot = snapshot(at: offset), source.words(1, at: wordOffset)?.first.map(Self.life) == Self.life(before)
            else { return nil }
            if attempt < 8, let again = self.snapshot(at: offset), again.changes != snapshot.changes { continue }
            awaitRate(since: snapshot.began)
            var profile = snapshot.profile(now: Self.now, isAtWork: isAtWork)
            profile.place = UInt64(offset)
            profile.heldBy = ThreadOwner(of: snapshot.token, in: source)?.processIdentifier
            return profile
        }
        return nil
    }

    /// What of a block's word stays the same as long as an object is there: the version counts holders, too, which come and go.
    private static func life(_ word: UInt64) -> UInt64 { word & 15 }

    private func snapshot(at offset: Int) -> LockSnapshot? {
        guard let header = source.words(1, at: offset)?.first, UInt32(truncatingIfNeeded: header) == ObjectBlock.Kind.lock.rawValue else {
            return nil
        }
        let code = UInt32(truncatingIfNeeded: header >> 32)
        let size = LockSnapshot.size(isProfiled: code & 4 != 0)
        guard let words = source.words((size + 7) / 8, at: offset + ObjectBlock.payload) else { return nil }
        return LockSnapshot(words: words, code: code)
    }

    /// Returns when two clocks are far enough from where they began for their rates to be compared: an error of 50 ns in 2 ms.
    private func awaitRate(since began: UInt64) {
        while true {
            let now = monotonicNow()
            // Whatever may stand there, it does not take longer.
            guard now >= began, now - began < 2_000_000 else { return }
            spinPause()
        }
    }

    /// This moment by two clocks.
    private static func now(_ clock: UInt32) -> (ticks: UInt64, nanoseconds: UInt64) { (mp_ticks(clock), monotonicNow()) }

    /// The profiles of all locks that have one.
    func profiles() -> [LockProfile] {
        let header = source.words(1, at: ArenaHeader.committed)?.first ?? 0
        // A size class of its own: profiled locks are found without looking at everything there is.
        let classes = Set([0, LockLayout.longestName].compactMap { Self.sizeClass(nameLength: $0) })
        let (first, count) = granules(committed: header)
        guard let granules = source.words(count, at: ArenaLayout.granuleTable) else { return [] }
        var profiles: [LockProfile] = []
        for (index, granule) in granules.enumerated() {
            let state = BlockWord(rawValue: granule)
            guard state.kind == .small, classes.contains(state.sizeClass) else { continue }
            let blocks = ArenaLayout.smallBlocks(ofClass: state.sizeClass)
            let start = first + index * ArenaLayout.granuleSize
            for block in 0..<blocks.count {
                let profile = profile(ofBlockAt: start + blocks.first + block * blocks.size, word: start + block * 8)
                if let profile, profile.isProfiled { profiles.append(profile) }
            }
        }
        return profiles
    }

    private static func sizeClass(nameLength: Int) -> Int? {
        ArenaLayout.sizeClass(for: ObjectBlock.payload + LockLayout.name(isProfiled: true) + nameLength)
    }

    /// Where the granules begin is told by the arena's length, which is the file's. There are not more than the machine has memory for, whatever stands there.
    private func granules(committed: UInt64) -> (first: Int, count: Int) {
        let (first, most) = ArenaLayout.granules(in: source.length)
        let possible = mp_memory_physical() / UInt64(ArenaLayout.granuleSize)
        return (first, Int(min(committed, possible, UInt64(max(most, 0)))))
    }

    /// Whether a process of the family still has something to do: between its last work and its being struck out it goes through its exit, and its parent's
    /// supervisor may be late.
    private func isAtWork(_ identity: UInt32) -> Bool {
        let slot = Int(identity & 0xfff) - 1
        guard ThreadOwner.process(of: identity, in: source) != nil,
            let entry = source.words(2, at: ArenaLayout.processTable + slot * ArenaLayout.processEntrySize)
        else { return false }
        return entry[0] & 15 == ProcessTable.Phase.live.rawValue && entry[1] >> 32 == 0
    }
}
