/// Appends bytes to memory that belongs to someone else: the inline part of a task slot, a block of the arena, the heap.
///
/// The writer knows nothing of where its memory comes from: a subclass overrides ``grow(minimumCapacity:)``.
/// Not thread-safe: one writer belongs to one encoding at a time.
///
/// `open`, though nothing outside this package can make one, because only open classes can be subclassed by other modules.
open class ByteWriter {
    // Exclusive access is checked by no one here: the checks at run time cost more than what they guard, which no closure can reach.
    @exclusivity(unchecked) package final private(set) var base: UnsafeMutableRawPointer
    @exclusivity(unchecked) package final private(set) var capacity: Int
    /// How many bytes have been written.
    @exclusivity(unchecked) package final private(set) var count = 0
    /// Objects that the written bytes refer to by place. Whoever sends the bytes keeps these alive until the receiver has decoded them.
    @exclusivity(unchecked) package final var retained: [AnyObject] = []
    /// The place of the first of them, where it is known, else 0.
    @exclusivity(unchecked) final var firstHandle: UInt64 = 0

    package init(_ memory: UnsafeMutableRawBufferPointer) {
        // An empty buffer has no address; any non-null one will do, as nothing is written before the first growth.
        base = memory.baseAddress ?? UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped
        capacity = memory.baseAddress == nil ? 0 : memory.count
    }

    /// Called when `minimumCapacity` bytes are needed and the memory holds fewer: returns larger memory whose first `count` bytes are what was
    /// written so far. Throws when there is no more to be had.
    open func grow(minimumCapacity: Int) throws -> UnsafeMutableRawBufferPointer {
        preconditionFailure("a ByteWriter subclass overrides grow(minimumCapacity:)")
    }

    /// Makes room for `additional` bytes behind those already written, and returns where they begin. Writing there counts only after ``advance(by:)``.
    @inline(__always)
    package final func reserve(_ additional: Int) throws -> UnsafeMutableRawPointer {
        if additional > capacity - count { try growSlowly(by: additional) }
        return base + count
    }

    /// Counts `n` bytes, written to reserved room, as part of the output.
    @inline(__always)
    package final func advance(by n: Int) { count += n }

    /// Starts over in the same memory.
    package final func removeAll() {
        count = 0
        retained.removeAll(keepingCapacity: true)
        firstHandle = 0
    }

    /// Overwrites earlier output, for lengths that are known only afterwards.
    @inline(__always)
    package final func patch<T: BitwiseCopyable>(_ value: T, at offset: Int) {
        precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count)
        (base + offset).storeBytes(of: value, as: T.self)
    }

    /// Takes back what was written since `count` bytes and `retained` objects were there: an encoding that failed leaves nothing behind.
    package final func truncate(to count: Int, retained kept: Int) {
        precondition(count >= 0 && count <= self.count)
        self.count = count
        if kept < retained.count { retained.removeLast(retained.count - kept) }
        if kept == 0 { firstHandle = 0 }
    }

    /// The bytes written so far, valid until the next write.
    package final var written: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    @inline(never)
    private final func growSlowly(by additional: Int) throws {
        let larger = try grow(minimumCapacity: count + additional)
        guard let start = larger.baseAddress, larger.count >= count + additional else {
            preconditionFailure("grow(minimumCapacity:) returned less than it was asked for")
        }
        base = start
        capacity = larger.count
    }
}

extension ByteWriter {
    /// Appends a trivial value as its bytes in memory, in this machine's byte order.
    @inline(__always)
    package final func append<T: BitwiseCopyable>(_ value: T) throws {
        try reserve(MemoryLayout<T>.size).storeBytes(of: value, as: T.self)
        advance(by: MemoryLayout<T>.size)
    }

    /// Appends a copy of `bytes`.
    package final func append(contentsOf bytes: UnsafeRawBufferPointer) throws {
        guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
        try reserve(bytes.count).copyMemory(from: source, byteCount: bytes.count)
        advance(by: bytes.count)
    }
}

/// A writer into heap memory of its own.
package final class HeapByteWriter: ByteWriter {
    package init(capacity: Int = 64) {
        super.init(.allocate(byteCount: max(capacity, 1), alignment: 16))
    }

    package override func grow(minimumCapacity: Int) throws -> UnsafeMutableRawBufferPointer {
        let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: max(minimumCapacity, capacity * 2), alignment: 16)
        larger.copyMemory(from: written)
        base.deallocate()
        return larger
    }

    /// A copy of what was written.
    package var bytes: [UInt8] { [UInt8](written) }

    deinit { base.deallocate() }
}
