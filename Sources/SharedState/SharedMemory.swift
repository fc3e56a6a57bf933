import Glibc
import SystemLayer

/// A piece of memory with a name, for processes that have nothing to do with each other but their user: one creates it, the others open it by its name.
///
/// ```swift
/// let board = try SharedMemory.create(name: "scores", size: 1 << 20)      // in one program
/// let board = try SharedMemory.open(name: "scores")                       // in another
/// board.withUnsafeMutableBytes { $0.storeBytes(of: 7, as: Int64.self) }
/// ```
///
/// The name lives as long as the process that created it, or until ``unlink(name:)``, and never longer: no file stands for it, so a creator that dies, however it
/// dies, leaves none behind. The memory lives as long as anybody has it open. Names are those of one user and one network namespace (a container is mostly one of its own). A
/// `.fork` child has its parent's memory, but does not keep its name.
///
/// Nothing orders what processes do in it: lay out in it what you need for that. Processes of one family, host and workers, do better with ``SharedArray`` and
/// its like, which are cleaned up after deaths.
public final class SharedMemory: Sendable {
    /// What it is called.
    public let name: String
    /// Its size in bytes.
    public let size: Int
    private let memory: SealedMemory

    private init(_ name: String, _ memory: SealedMemory) {
        self.name = name
        size = memory.bytes.count
        self.memory = memory
    }

    /// Creates a segment of `size` bytes, all zero. Of several processes that create one of the same name at once, one succeeds.
    ///
    /// Time grows with the size, as all of the memory is taken now: some 2 GiB a second.
    /// - Parameters:
    ///   - name: 1 to 80 bytes, without `/` and control characters.
    ///   - size: in bytes, at least 1.
    /// - Throws: ``SharedMemoryError`` when a living process has the name, when there is not enough memory, and for a name or size that cannot be; `SystemError`
    ///   when the process has no descriptors left. Then there is no such segment.
    public static func create(name: String, size: Int) throws -> SharedMemory {
        let address = try SegmentNames.address(of: name)
        guard size > 0 else {
            throw SharedMemoryError("A shared memory of \(size) bytes cannot be: ask for 1 or more.")
        }
        // Beyond that the kernel would kill instead of refusing.
        guard UInt64(size) <= MemoryLimit.current else {
            throw SharedMemoryError(
                "A shared memory of \(size) bytes is more than this machine, or its cgroup, allows (\(MemoryLimit.current) bytes). Ask for less."
            )
        }
        let claim = try SegmentNames.claim(name, address)
        do {
            let memory = try takeMemory(size)
            try memory.fix(at: size)
            // Who opens it meanwhile waits until now: nobody sees half of one, nor is told that there is none.
            try SegmentNames.publish(claim, memory)
            return SharedMemory(name, memory)
        } catch {
            SegmentNames.withdraw(claim)
            throw error
        }
    }

    private static func takeMemory(_ size: Int) throws -> SealedMemory {
        do { return try SealedMemory(size: size, label: "multiprocessing-segment") } catch {
            guard error.code == ENOSPC || error.code == ENOMEM else { throw error }
            throw SharedMemoryError("There is no memory for a shared memory of \(size) bytes. Ask for less, or free some. (\(error))")
        }
    }

    /// Opens the segment that another process, or this one, has created. Blocks until its creator answers, some 100 µs where the segment is there, and at most 10 s.
    /// - Throws: ``SharedMemoryError`` when there is none of this name, for a name that cannot be, and when its creator does not answer; `SystemError` when the process has no descriptors left.
    public static func open(name: String) throws -> SharedMemory {
        try open(name, until: nil)
    }

    /// As ``open(name:)``, but blocks for `timeout` at most.
    /// - Throws: as that, and ``SharedMemoryError`` when the creator has not answered by then.
    public static func open(name: String, timeout: Duration) throws -> SharedMemory { try open(name, until: Deadline(after: timeout)) }

    private static func open(_ name: String, until deadline: Deadline?) throws -> SharedMemory {
        SharedMemory(name, try SegmentClient.open(name, at: try SegmentNames.address(of: name), until: deadline))
    }

    /// Frees a name, whoever has created it. Who has the segment open keeps it; another can be created under the name at once.
    /// Blocks until its creator answers, some 100 µs, and at most 10 s.
    /// - Throws: ``SharedMemoryError`` when there is no segment of this name, or its creator does not answer.
    public static func unlink(name: String) throws { try unlink(name, until: nil) }

    /// As ``unlink(name:)``, but blocks for `timeout` at most. When its creator has not answered by then, it may still free the name when it does.
    public static func unlink(name: String, timeout: Duration) throws { try unlink(name, until: Deadline(after: timeout)) }

    private static func unlink(_ name: String, until deadline: Deadline?) throws {
        try SegmentClient.unlink(name, at: try SegmentNames.address(of: name), until: deadline)
    }

    /// Calls `body` with the memory, in place, while other processes may read and write it. The pointer must not be used after `body` has returned.
    public func withUnsafeMutableBytes<R>(_ body: (UnsafeMutableRawBufferPointer) throws -> R) rethrows -> R {
        try withExtendedLifetime(memory) { try body(memory.bytes) }
    }
}
