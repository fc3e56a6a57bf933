import CMultiprocessing
import Glibc
public import Synchronization
import SystemLayer

/// The memory that all processes of a family share: one anonymous file, mapped at the same address everywhere, so that a place in it means the same to all.
///
/// Made by the first process that needs it; its workers find it mapped when they begin. It has no name and is gone with the last process.
@usableFromInline
package struct Arena: Sendable {
    /// Where it begins, in every process of the family.
    @usableFromInline package nonisolated(unsafe) let base: UnsafeMutableRawPointer
    @usableFromInline package let length: Int
    let fd: Int32
    let firstGranule: Int
    let granuleCount: Int

    /// This process's arena. Made on first use, which takes some 100 µs.
    package static func current() throws -> Arena {
        if case .success(let arena) = atFirst { return arena }
        return try lateLock.withLock {
            if let late { return late }
            let arena = try attachOrCreate()
            late = arena
            return arena
        }
    }

    /// What came of the first attempt. One that fails, as there are no descriptors left, is not the last.
    private static let atFirst: Result<Arena, any Error> = Result { try attachOrCreate() }
    private static let lateLock = HostLock()
    private nonisolated(unsafe) static var late: Arena?  // guarded by `lateLock`

    private static func attachOrCreate() throws -> Arena {
        let inherited = mp_arena_get()
        if inherited.base != 0 { return Arena(inherited) }
        return try create()
    }

    private init(_ arena: mp_arena) {
        guard let base = UnsafeMutableRawPointer(bitPattern: arena.base) else { preconditionFailure("an arena at address 0") }
        self.base = base
        length = arena.length
        fd = arena.fd
        (firstGranule, granuleCount) = ArenaLayout.granules(in: arena.length)
    }

    // Far from where programs, heaps, stacks and libraries are put. The first is one of the few that ThreadSanitizer leaves to programs, and which
    // has to come first, as it ends the program at the attempt to map elsewhere; AddressSanitizer, whose shadow lies there, refuses it in order.
    private static let addresses: [UInt] = [
        0x0040_0000_0000, 0x2f00_0000_0000, 0x3a00_0000_0000, 0x4400_0000_0000, 0x6800_0000_0000, 0x7300_0000_0000, 0x5e00_0000_0000,
    ]

    private static let leastLength = 64 << 20

    private static func create() throws -> Arena {
        // No more than the machine has can ever be used; under RLIMIT_AS or RLIMIT_FSIZE a smaller reservation has to do.
        var length = 1 << 30
        while UInt64(length) < mp_memory_physical() { length *= 2 }
        while !mp_file_size_allowed(length) {
            length /= 2
            guard length >= leastLength else {
                throw SharedMemoryError(
                    "Shared memory is a file to the kernel: raise the limit on the size of files (ulimit -f) to 64 MiB at least.")
            }
        }
        while length >= leastLength {
            let fd = mp_memory_create("multiprocessing", length)
            try check(fd, "creating shared memory")
            for address in addresses where mp_memory_map(fd, address, length) == 0 {
                let arena = Arena(mp_arena(base: address, length: length, fd: fd))
                let limit = Int(min(MemoryLimit.current, UInt64(length))) / ArenaLayout.granuleSize
                arena.word(ArenaHeader.cap).pointee.store(UInt64(min(arena.granuleCount, limit)), ordering: .relaxed)
                arena.word(ArenaHeader.magic).pointee.store(ArenaHeader.magicValue, ordering: .releasing)
                mp_arena_set(mp_arena(base: address, length: length, fd: fd))
                return arena
            }
            close(fd)
            length /= 2
        }
        throw SharedMemoryError(
            "No address range for shared memory is free. Raise the limit on address space (ulimit -v), which must leave at least 64 MiB.")
    }

    /// The 64-bit word at `offset`.
    @inlinable @inline(__always)
    package func word(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// The futex word at `offset`.
    @inlinable @inline(__always)
    package func word32(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
        (base + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    func granuleWord(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { word(ArenaLayout.granuleTable + index * 8) }
    func offset(ofGranule index: Int) -> Int { firstGranule + index * ArenaLayout.granuleSize }

    var committedGranules: Int { Int(word(ArenaHeader.committed).pointee.load(ordering: .acquiring)) }

    /// Puts memory behind the first `count` granules.
    func commit(granules count: Int) throws {
        var committed = committedGranules
        guard count > committed else { return }
        let cap = Int(word(ArenaHeader.cap).pointee.load(ordering: .relaxed))
        guard count <= cap else {
            throw SharedMemoryError(
                """
                Shared memory is full: \(count * (ArenaLayout.granuleSize >> 10)) KiB are needed, and the limit (the machine's memory, or its cgroup's) \
                allows \(cap * (ArenaLayout.granuleSize >> 10)) KiB. Drop shared objects and results that are no longer needed, or send less at a time.
                """)
        }
        // Four granules at least: each call costs a system call.
        let target = min(cap, max(count, committed + 4))
        do {
            try check(
                mp_memory_commit(fd, offset(ofGranule: committed), (target - committed) * ArenaLayout.granuleSize),
                "taking memory for the arena")
        } catch {
            throw SharedMemoryError("Shared memory could not grow to \(target * (ArenaLayout.granuleSize >> 10)) KiB. \(error)")
        }
        // Two processes may have grown it at once: the same pages twice is harmless, and the larger number stands.
        while committed < target {
            let (exchanged, original) = word(ArenaHeader.committed).pointee.compareExchange(
                expected: UInt64(committed), desired: UInt64(target), ordering: .acquiringAndReleasing)
            if exchanged { break }
            committed = Int(original)
        }
    }
}
