public import BinaryCoding
public import Synchronization
import SystemLayer

/// An array in memory that several processes share, with a lock of its own.
///
/// Make one, pass it as an argument (or capture it in a `.fork` child), and every process that has it works on the same elements: what travels is their place,
/// so a thousand elements and a thousand million cost the same. It lives as long as any process of the family holds a handle to it; a process that has died
/// holds none.
///
/// ```swift
/// let image = try SharedArray<Float>(repeating: 0, count: 1 << 24)
/// try pool.map(image.evenlyChunked(in: 8)) { part in
///     part.withMutableSpan { pixels in for i in pixels.indices { pixels[i] = render(part.range.lowerBound + i) } }
/// }
/// let brightest = image.withLock { pixels in … }
/// ```
///
/// There are three ways to the elements: ``subscript(_:)``, one at a time; ``withLock(_:)``, all of them, while nobody else is in it; and
/// ``withUnsafeMutableBufferPointer(_:)`` or ``Chunk``, without the lock, where the program's own order keeps processes apart: each has a part of its own, or
/// one has ended its task before the other begins.
///
/// `T` is a trivial type. Encoding a `SharedArray` for anything but another process of the family throws.
public final class SharedArray<T: BitwiseCopyable & Sendable>: Codable, Sendable, SharedObject, SharedHandleDecodable {
    // The object: the lock's word, and the elements from the next cache line on.
    private static var elementsAt: Int { 64 }

    private let block: ObjectBlock
    let lockWord: OwnerLock
    @usableFromInline nonisolated(unsafe) let elements: UnsafeMutableBufferPointer<T>

    package var handle: UInt64 { UInt64(block.offset) }
    var arena: Arena { block.arena }

    /// Makes an array of `count` elements, all of them `value`.
    ///
    /// Time grows with the size: memory that is used for the first time is made by the kernel at some 2 GiB a second.
    /// - Throws: ``SharedMemoryError`` when there is no memory for it, or `count` is negative.
    public convenience init(repeating value: T, count: Int) throws {
        self.init(retained: try Self.makeBlock(count))
        elements.initialize(repeating: value)
    }

    /// Makes an array with a copy of `elements`.
    /// - Throws: ``SharedMemoryError`` when there is no memory for it.
    public convenience init(_ elements: [T]) throws {
        self.init(retained: try Self.makeBlock(elements.count))
        _ = self.elements.initialize(fromContentsOf: elements)
    }

    private static func makeBlock(_ count: Int) throws -> ObjectBlock {
        guard MemoryLayout<T>.alignment <= 64 else {
            throw SharedMemoryError(
                "\(T.self) is to lie at a multiple of \(MemoryLayout<T>.alignment) bytes, and a SharedArray can do 64 at most.")
        }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<T>.stride)
        guard count >= 0, !overflow, bytes < Int.max - (1 << 20) else {
            throw SharedMemoryError("There can be no SharedArray of \(count) elements: ask for 0 or more, and no more than fit in memory.")
        }
        return try ObjectBlock.make(
            .array, elementSize: MemoryLayout<T>.size, element: T.self, count: count, size: elementsAt + bytes, zeroed: elementsAt,
            in: try Arena.current())
    }

    /// Takes over one hold on `block`.
    private init(retained block: ObjectBlock) {
        let object = block.offset + ObjectBlock.payload
        self.block = block
        lockWord = OwnerLock(word: block.arena.word32(object), offset: UInt64(object))
        // Nobody changes the count, so it is read once.
        elements = UnsafeMutableBufferPointer(
            start: (block.arena.base + object + Self.elementsAt).assumingMemoryBound(to: T.self), count: block.count)
    }

    deinit { HandleRegistry.release(block) }

    /// How many elements there are, for ever.
    @inlinable public var count: Int { elements.count }

    /// The valid indices.
    @inlinable public var indices: Range<Int> { 0..<elements.count }

    /// One element. Each access is atomic; writing waits for the lock. Reading an element of 1, 2, 4 or 8 bytes takes no lock, any other takes it.
    ///
    /// `array[i] += 1` is a read and a write: an update that another process makes between them is lost. Use ``withLock(_:)``, which is faster, too, for more
    /// than a few elements. An index out of range ends the process.
    @inlinable
    public subscript(index: Int) -> T {
        get {
            precondition(index >= 0 && index < elements.count, "index \(index) of a SharedArray of \(elements.count) elements")
            let element = UnsafeMutableRawPointer(elements.baseAddress.unsafelyUnwrapped + index)
            if let value: T = AtomicElement.load(element) { return value }
            let isFromDead = lock()
            defer { unlock(unrepaired: isFromDead) }
            return element.load(as: T.self)
        }
        set {
            precondition(index >= 0 && index < elements.count, "index \(index) of a SharedArray of \(elements.count) elements")
            let element = UnsafeMutableRawPointer(elements.baseAddress.unsafelyUnwrapped + index)
            let isFromDead = lock()
            defer { unlock(unrepaired: isFromDead) }
            if !AtomicElement.store(newValue, at: element) { element.storeBytes(of: newValue, as: T.self) }
        }
    }

    /// Calls `body` with all elements, in place, while no other thread or process of the family is in `withLock` or sets an element.
    ///
    /// Blocks while another holds the lock. Not recursive: a `body` that uses the same array's lock, or sets its elements by subscript, ends the process, as it
    /// would wait for itself. When its process dies in `body`, what that had written stays, and the lock is handed on: use ``withLock(repair:_:)`` where half a
    /// change must not be taken for a whole.
    /// - Returns: what `body` returns.
    @inlinable
    public func withLock<R>(_ body: (inout MutableSpan<T>) throws -> R) rethrows -> R {
        lock()
        defer { unlock() }
        var span = elements.mutableSpan
        return try body(&span)
    }

    /// As ``withLock(_:)``, with `repair` called before `body` when the last process, or thread, to hold the lock has died in it. When `repair` throws, `body` is
    /// not called, and the next is to repair. After a ``withLock(_:)`` the array counts as repaired, but not because single elements were read or written meanwhile.
    @inlinable
    public func withLock<R>(
        repair: (inout MutableSpan<T>) throws -> Void, _ body: (inout MutableSpan<T>) throws -> R
    ) rethrows -> R {
        var isUnrepaired = lock()
        defer { unlock(unrepaired: isUnrepaired) }
        var span = elements.mutableSpan
        if isUnrepaired { try repair(&span) }
        isUnrepaired = false
        return try body(&span)
    }

    /// Calls `body` with all elements, in place, and without the lock: for when the order of the program's tasks already keeps others from them.
    ///
    /// Whoever reads an element while another writes it may see anything in between. The pointer must not be used after `body` has returned.
    @inlinable
    public func withUnsafeMutableBufferPointer<R>(_ body: (UnsafeMutableBufferPointer<T>) throws -> R) rethrows -> R {
        // The handle keeps the memory: it has to outlive the body.
        try withExtendedLifetime(self) { try body(elements) }
    }

    // What the user's module inlines takes the lock by these.
    /// - Returns: whether its last owner has died holding it.
    @usableFromInline @discardableResult
    func lock() -> Bool { lockWord.lock(in: block.arena) }
    @usableFromInline
    func unlock() { lockWord.unlock() }
    /// After one element was read or written, which repairs nothing that a dead owner has left; or in vain.
    @usableFromInline
    func unlock(unrepaired isFromDead: Bool) {
        if isFromDead { lockWord.unlockUnrepaired() } else { unlock() }
    }

    /// Finds the array that another process of the family has sent. Throws a `DecodingError` elsewhere.
    public convenience init(from decoder: any Decoder) throws {
        self.init(
            retained: try ObjectBlock.decode(.array, elementSize: MemoryLayout<T>.size, element: T.self, of: Self.self, from: decoder))
    }

    package static var isReadable: Bool { true }

    package static func find(handle: UInt64, isHeld: Bool) -> Self? {
        ObjectBlock.retain(.array, elementSize: MemoryLayout<T>.size, element: T.self, at: handle, isHeld: isHeld).map {
            Self(retained: $0)
        }
    }

    /// Writes the array's place in shared memory. Throws an `EncodingError` for anything but a message to a process of the family.
    public func encode(to encoder: any Encoder) throws { try encodeHandle(to: encoder) }
}

/// Elements that the processor reads and writes in one piece.
@usableFromInline
enum AtomicElement {
    // An array begins at a multiple of 64, and what is 2, 4 or 8 bytes long has a stride that is a multiple of that: such elements are aligned.

    /// - Returns: nil for an element of another size.
    @inlinable @inline(__always)
    static func load<T: BitwiseCopyable>(_ element: UnsafeMutableRawPointer) -> T? {
        switch MemoryLayout<T>.size {
        case 1: unsafeBitCast(word(element, UInt8.self).pointee.load(ordering: .acquiring), to: T.self)
        case 2: unsafeBitCast(word(element, UInt16.self).pointee.load(ordering: .acquiring), to: T.self)
        case 4: unsafeBitCast(word(element, UInt32.self).pointee.load(ordering: .acquiring), to: T.self)
        case 8: unsafeBitCast(word(element, UInt64.self).pointee.load(ordering: .acquiring), to: T.self)
        default: nil
        }
    }

    /// - Returns: false for an element of another size.
    @inlinable @inline(__always)
    static func store<T: BitwiseCopyable>(_ value: T, at element: UnsafeMutableRawPointer) -> Bool {
        switch MemoryLayout<T>.size {
        case 1: word(element, UInt8.self).pointee.store(unsafeBitCast(value, to: UInt8.self), ordering: .releasing)
        case 2: word(element, UInt16.self).pointee.store(unsafeBitCast(value, to: UInt16.self), ordering: .releasing)
        case 4: word(element, UInt32.self).pointee.store(unsafeBitCast(value, to: UInt32.self), ordering: .releasing)
        case 8: word(element, UInt64.self).pointee.store(unsafeBitCast(value, to: UInt64.self), ordering: .releasing)
        default: return false
        }
        return true
    }

    @inlinable @inline(__always)
    static func word<W: AtomicRepresentable>(_ element: UnsafeMutableRawPointer, _ type: W.Type) -> UnsafeMutablePointer<Atomic<W>> {
        element.assumingMemoryBound(to: Atomic<W>.self)
    }
}
