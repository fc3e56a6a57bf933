/// Appends bytes to memory that belongs to someone else: the inline part of a task slot, a block of the arena, the heap.
///
/// The writer knows nothing of where its memory comes from: a subclass overrides ``grow(minimumCapacity:)``.
/// Not thread-safe: one writer belongs to one encoding at a time.
///
/// `open`, though nothing outside this package can make one, because only open classes can be subclassed by other modules.
open class ByteWriter {
    // Exclusive access is checked by no one here: the checks at run time cost more than what they guard, which no closure can reach.
    // Behind accessors, as other modules do not know of their attribute, and would check.
    @exclusivity(unchecked) @usableFromInline final var start: UnsafeMutableRawPointer
    @exclusivity(unchecked) @usableFromInline final var room: Int
    @exclusivity(unchecked) @usableFromInline final var length = 0
    @exclusivity(unchecked) @usableFromInline final var objects: [AnyObject] = []

    /// Where the bytes are.
    @inlinable package final var base: UnsafeMutableRawPointer { start }
    /// How many bytes there is room for.
    @inlinable package final var capacity: Int { room }
    /// How many bytes have been written.
    @inlinable package final var count: Int { length }
    /// Objects that the written bytes refer to by place. Whoever sends the bytes keeps these alive until the receiver has decoded them.
    @inlinable package final var retained: [AnyObject] {
        get { objects }
        set { objects = newValue }
    }
    /// Whether there are any.
    @inlinable package final var retainsObjects: Bool { !objects.isEmpty }
    /// Hands over the objects, and takes others, or none, in their place.
    package final func exchangeRetained(with others: inout [AnyObject]) {
        swap(&objects, &others)
        firstHandle = 0
    }
    /// The place of the first of them, where it is known, else 0.
    @exclusivity(unchecked) final var firstHandle: UInt64 = 0

    package init(_ memory: UnsafeMutableRawBufferPointer) {
        // An empty buffer has no address; any non-null one will do, as nothing is written before the first growth.
        start = memory.baseAddress ?? UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped
        room = memory.baseAddress == nil ? 0 : memory.count
    }

    /// Called when `minimumCapacity` bytes are needed and the memory holds fewer: returns larger memory whose first `count` bytes are what was
    /// written so far. Throws when there is no more to be had.
    open func grow(minimumCapacity: Int) throws -> UnsafeMutableRawBufferPointer {
        preconditionFailure("a ByteWriter subclass overrides grow(minimumCapacity:)")
    }

    /// Called before the user's code runs in the middle of an encoding: it may take its time, and wait for others. A writer whose memory others wait for moves to
    /// other memory, as long as nobody waits for that: it returns it, with what was written so far; nil to stay where it is.
    open func makeWay() -> UnsafeMutableRawBufferPointer? { nil }

    /// See ``makeWay()``.
    final func makeWayForUsersCode() {
        guard let memory = makeWay(), let address = memory.baseAddress else { return }
        start = address
        room = memory.count
    }

    /// Makes room for `additional` bytes behind those already written, and returns where they begin. Writing there counts only after ``advance(by:)``.
    @inlinable @inline(__always)
    package final func reserve(_ additional: Int) throws -> UnsafeMutableRawPointer {
        if additional > room - length { try growSlowly(by: additional) }
        return start + length
    }

    /// Counts `n` bytes, written to reserved room, as part of the output.
    @inlinable @inline(__always)
    package final func advance(by n: Int) { length += n }

    /// Starts over in the same memory.
    @usableFromInline package final func removeAll() {
        length = 0
        if !objects.isEmpty { objects.removeAll(keepingCapacity: true) }
        firstHandle = 0
    }

    /// Starts over in other memory, as a writer just made for it would. What a subclass has grown into is the subclass's to free, before.
    @inlinable
    package final func reset(to memory: UnsafeMutableRawBufferPointer) {
        start = memory.baseAddress ?? UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped
        room = memory.baseAddress == nil ? 0 : memory.count
        length = 0
        if !objects.isEmpty { removeAll() }
    }

    /// Overwrites earlier output, for lengths that are known only afterwards.
    @inline(__always)
    package final func patch<T: BitwiseCopyable>(_ value: T, at offset: Int) {
        precondition(offset >= 0 && offset + MemoryLayout<T>.size <= length)
        (start + offset).storeBytes(of: value, as: T.self)
    }

    /// Takes back what was written since `count` bytes and `retained` objects were there: an encoding that failed leaves nothing behind.
    package final func truncate(to count: Int, retained kept: Int) {
        precondition(count >= 0 && count <= length)
        length = count
        if kept < objects.count { objects.removeLast(objects.count - kept) }
        if kept == 0 { firstHandle = 0 }
    }

    /// The bytes written so far, valid until the next write.
    @inlinable package final var written: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: length) }

    @usableFromInline @inline(never)
    final func growSlowly(by additional: Int) throws {
        let larger = try grow(minimumCapacity: length + additional)
        guard let address = larger.baseAddress, larger.count >= length + additional else {
            preconditionFailure("grow(minimumCapacity:) returned less than it was asked for")
        }
        start = address
        room = larger.count
    }
}

extension ByteWriter {
    /// Appends a trivial value as its bytes in memory, in this machine's byte order.
    @inlinable @inline(__always)
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
