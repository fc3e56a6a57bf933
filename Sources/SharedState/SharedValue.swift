public import BinaryCoding
public import Synchronization

/// A value in memory that several processes share, with a lock of its own.
///
/// Make one, pass it as an argument (or capture it in a `.fork` child), and every process that has it reads and writes the same value. It lives as long as any
/// process of the family holds a handle to it; a process that has died holds none.
///
/// ```swift
/// let counter = try SharedValue<Int32>(0)
/// counter.withLock { $0 += 1 }     // exact, from any number of processes
/// counter.value += 1               // a read and a write, each atomic: another process may come between
/// ```
///
/// `T` is a trivial type of any size. Encoding a `SharedValue` for anything but another process of the family throws.
public final class SharedValue<T: BitwiseCopyable & Sendable>: Codable, Sendable, SharedObject, SharedHandleDecodable {
    // The object: the lock's words; from 8 on what the lock protects, on the same cache line if it is small.
    // A value of 8 bytes at most is one word there, which an update replaces by one store. Of a larger one there are two copies, from 16 on; at 8 stands the
    // version, of which `version % 2` tells the current copy. An update is written to the other, and becomes current by one store.
    // Until that store, whatever happens to its writer, the old value stands.
    @inlinable static var isWord: Bool { MemoryLayout<T>.size <= 8 }
    private static var buffers: Int { max(16, MemoryLayout<T>.alignment) }
    @inlinable static var stride: Int { max(1, MemoryLayout<T>.stride) }

    private let block: ObjectBlock
    @usableFromInline let arena: Arena
    @usableFromInline let lockWord: OwnerLock
    /// The value, or its version.
    @usableFromInline nonisolated(unsafe) let state: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline nonisolated(unsafe) let first: UnsafeMutableRawPointer

    package var handle: UInt64 { UInt64(block.offset) }

    /// Makes a shared value.
    /// - Throws: ``SharedMemoryError`` when there is no memory for it.
    public convenience init(_ initial: T) throws {
        guard MemoryLayout<T>.alignment <= 64 else {
            throw SharedMemoryError(
                "\(T.self) is to lie at a multiple of \(MemoryLayout<T>.alignment) bytes, and a SharedValue can do 64 at most.")
        }
        let arena = try Arena.current()
        let block = try ObjectBlock.make(
            .value, elementSize: MemoryLayout<T>.size, element: T.self, count: 1, size: Self.isWord ? 16 : Self.buffers + 2 * Self.stride,
            in: arena)
        self.init(retained: block)
        if Self.isWord {
            state.pointee.store(Self.word(of: initial), ordering: .releasing)
        } else {
            first.storeBytes(of: initial, as: T.self)
        }
    }

    /// Takes over one hold on `block`.
    private init(retained block: ObjectBlock) {
        let object = block.offset + ObjectBlock.payload
        self.block = block
        arena = block.arena
        lockWord = OwnerLock(word: block.arena.word32(object), offset: UInt64(object))
        state = block.arena.word(object + 8)
        first = block.arena.base + object + Self.buffers
    }

    deinit { HandleRegistry.release(block) }

    /// The current value. Reading takes no lock and never sees half an update; writing waits for the lock.
    ///
    /// `shared.value += 1` is a read and a write: an update that another process makes between them is lost. Use ``withLock(_:)``.
    @inlinable
    public var value: T {
        get {
            if Self.isWord { return Self.value(in: state.pointee.load(ordering: .acquiring)) }
            while true {
                let before = state.pointee.load(ordering: .acquiring)
                let copy = buffer(before).loadUnaligned(as: T.self)
                // The buffer is written again only for the update after next: the copy is whole if no update has happened.
                atomicMemoryFence(ordering: .acquiring)
                if state.pointee.load(ordering: .relaxed) == before { return copy }
            }
        }
        set { withLock { $0 = newValue } }
    }

    /// Calls `body` with the value, while no other thread or process of the family is in `withLock` or sets ``value``.
    ///
    /// All or nothing: when `body` throws, or its process dies in it, the old value stays. A lock whose owner has died is handed on.
    /// Blocks while another holds the lock. Not recursive: a `body` that uses the same value's lock, or sets ``value``, ends the process, as it would wait for
    /// itself.
    /// - Returns: what `body` returns.
    @inlinable
    public func withLock<R>(_ body: (inout T) throws -> R) rethrows -> R {
        lockWord.lock(in: arena)
        defer { lockWord.unlock() }
        return try changing(body)
    }

    /// Under the lock.
    @inlinable @inline(__always)
    func changing<R>(_ body: (inout T) throws -> R) rethrows -> R {
        let before = state.pointee.load(ordering: .relaxed)
        var copy = Self.isWord ? Self.value(in: before) : buffer(before).loadUnaligned(as: T.self)
        let result = try body(&copy)
        if Self.isWord {
            state.pointee.store(Self.word(of: copy), ordering: .releasing)
        } else {
            buffer(before &+ 1).storeBytes(of: copy, as: T.self)
            state.pointee.store(before &+ 1, ordering: .releasing)
        }
        return result
    }

    @inlinable @inline(__always)
    func buffer(_ version: UInt64) -> UnsafeMutableRawPointer { version & 1 == 0 ? first : first + Self.stride }

    /// A value of 8 bytes at most, in a word.
    @inlinable @inline(__always)
    static func word(of value: T) -> UInt64 {
        var word: UInt64 = 0
        withUnsafeMutableBytes(of: &word) { $0.storeBytes(of: value, as: T.self) }
        return word
    }

    @inlinable @inline(__always)
    static func value(in word: UInt64) -> T { withUnsafeBytes(of: word) { $0.loadUnaligned(as: T.self) } }

    /// Finds the value that another process of the family has sent. Throws a `DecodingError` elsewhere.
    public convenience init(from decoder: any Decoder) throws {
        self.init(
            retained: try ObjectBlock.decode(.value, elementSize: MemoryLayout<T>.size, element: T.self, of: Self.self, from: decoder))
    }

    package static var isReadable: Bool { true }

    package static func find(handle: UInt64, isHeld: Bool) -> Self? {
        ObjectBlock.retain(.value, elementSize: MemoryLayout<T>.size, element: T.self, at: handle, isHeld: isHeld).map {
            Self(retained: $0)
        }
    }

    /// Writes the value's place in shared memory. Throws an `EncodingError` for anything but a message to a process of the family.
    public func encode(to encoder: any Encoder) throws { try encodeHandle(to: encoder) }
}
