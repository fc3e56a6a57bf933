public import CMultiprocessing
public import Synchronization
import SystemLayer

/// Where in the program a lock is taken.
@usableFromInline
struct CallSite: Sendable {
    @usableFromInline let file: StaticString
    @usableFromInline let line: UInt

    @inlinable init(_ file: StaticString, _ line: UInt) {
        self.file = file
        self.line = line
    }
}

/// Writes the profile of a lock, on behalf of who holds it.
///
/// What is done at every taking is here, for callers to inline: to count in a line that no other process writes, and to compare the last owner, which is beside
/// the lock's word. The rest, at one taking in 64 and at those that waited, is in `LockRecorder+Slow.swift`. ``LockLayout`` says what stands where.
@usableFromInline
struct LockRecorder: @unchecked Sendable {
    // Unchecked: all words are used atomically.
    @usableFromInline let base: UnsafeMutableRawPointer
    /// The line of the last owner.
    @usableFromInline let owner: UnsafeMutablePointer<Atomic<UInt32>>

    // Computed: the code that inlines them is in other modules, for which a stored constant is memory.
    @inlinable static var entries: Int { 448 }
    @inlinable static var entrySize: Int { 64 }

    init(base: UnsafeMutableRawPointer, owner: UnsafeMutableRawPointer) {
        self.base = base
        self.owner = owner.assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    /// That of a profiled lock of the default kind, which lies where `LockLayout` says: found without another look at memory.
    @inlinable @inline(__always)
    init(beside lock: OwnerLock) {
        base = UnsafeMutableRawPointer(lock.word) + 64
        owner = lock.word + 2
    }

    /// This process's entry. Asked for anew each time, as a copy of this process made by fork has the same handle and another entry.
    @inlinable @inline(__always)
    var entry: UnsafeMutablePointer<Atomic<UInt64>> {
        (base + Self.entries + Int(mp_profile_entry())).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// Counts a taking by the calling thread, whose token is `token` and which holds the lock.
    /// - Returns: whether there is more to write: ``note(_:_:)``.
    @inlinable @inline(__always)
    func count(_ token: UInt32) -> Bool {
        let entry = entry
        // The owner is the only one to write it: no atomic addition is needed.
        let count = entry.pointee.load(ordering: .relaxed) &+ 1
        entry.pointee.store(count, ordering: .relaxed)
        return owner.pointee.load(ordering: .relaxed) != token || count >= (entry + 1).pointee.load(ordering: .relaxed)
    }

    /// Whether the hold is being timed, so that ``noteHold(of:)`` has to be called before the lock is released. Never, where there is no profile.
    @inlinable @inline(__always)
    var isTiming: Bool {
        UnsafeMutableRawPointer(owner + 6).assumingMemoryBound(to: Atomic<UInt64>.self).pointee.load(ordering: .relaxed) != 0
    }
}
