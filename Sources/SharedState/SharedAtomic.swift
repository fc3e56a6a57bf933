public import BinaryCoding
@_spi(Reflection) import Swift
public import Synchronization

/// A value in memory that several processes share, changed by single instructions of the processor, without a lock.
///
/// ```swift
/// let tickets = try SharedAtomic(0)
/// try pool.map(0..<1000) { _ in tickets.add(1) }     // every number from 1 to 1000, once
/// ```
///
/// `T` is a trivial type of 1, 2, 4 or 8 bytes, all of which belong to the value: a number, a `Bool`, a pointer-sized struct, an enum without payloads.
/// No operation blocks, each takes some nanoseconds (some ten while other processes use the same one), and a process that is killed has done it or has not.
/// All are sequentially consistent: what a process wrote before is seen by whoever sees its change, and all processes see the changes of all
/// `SharedAtomic`s in one order.
///
/// It lives as long as any process of the family holds a handle to it. Encoding one for anything but another process of the family throws.
public final class SharedAtomic<T: BitwiseCopyable & Sendable>: Codable, Sendable, SharedObject, SharedHandleDecodable {
    private let block: ObjectBlock
    @usableFromInline nonisolated(unsafe) let place: UnsafeMutableRawPointer

    package var handle: UInt64 { UInt64(block.offset) }

    /// Makes an atomic value.
    /// - Throws: ``SharedMemoryError`` when there is no memory for it, or `T` is not 1, 2, 4 or 8 bytes long, or has padding.
    public convenience init(_ initial: T) throws {
        guard [1, 2, 4, 8].contains(MemoryLayout<T>.size), MemoryLayout<T>.size == MemoryLayout<T>.stride else {
            throw SharedMemoryError(
                """
                A SharedAtomic holds 1, 2, 4 or 8 bytes, all of them the value's, and \(T.self) has \(MemoryLayout<T>.size) in \
                \(MemoryLayout<T>.stride). Use a SharedValue, which takes any size.
                """)
        }
        guard Self.usedBytes(of: T.self) == MemoryLayout<T>.size else {
            throw SharedMemoryError(
                """
                There is padding between the fields of \(T.self), and a SharedAtomic compares whole words: fill it with a field of its own, \
                or use a SharedValue.
                """)
        }
        self.init(
            retained: try ObjectBlock.make(
                .atomic, elementSize: MemoryLayout<T>.size, element: T.self, count: 1, size: 8, in: try Arena.current()))
        place.storeBytes(of: initial, as: T.self)
    }

    /// Takes over one hold on `block`.
    private init(retained block: ObjectBlock) {
        self.block = block
        place = block.arena.base + block.offset + ObjectBlock.payload
    }

    deinit { HandleRegistry.release(block) }

    /// How many bytes of a `type` its stored properties take. What the runtime cannot look into (enums, numbers) has no padding, as far as it is known.
    private static func usedBytes(of type: Any.Type) -> Int {
        var fields = 0
        var bytes = 0
        // Where it returns false it could not go on, for want of the field's type.
        let isComplete = _forEachField(of: type) { _, _, field, _ in
            fields += 1
            bytes += usedBytes(of: field)
            return true
        }
        func size<Leaf>(_ type: Leaf.Type) -> Int { MemoryLayout<Leaf>.size }
        return fields > 0 && isComplete ? bytes : _openExistential(type, do: size)
    }

    // MARK: Operations

    /// The current value.
    @inlinable
    public func load() -> T {
        switch MemoryLayout<T>.size {
        case 1: value(word(UInt8.self).pointee.load(ordering: .sequentiallyConsistent))
        case 2: value(word(UInt16.self).pointee.load(ordering: .sequentiallyConsistent))
        case 4: value(word(UInt32.self).pointee.load(ordering: .sequentiallyConsistent))
        default: value(word(UInt64.self).pointee.load(ordering: .sequentiallyConsistent))
        }
    }

    /// Replaces the value.
    @inlinable
    public func store(_ value: T) {
        switch MemoryLayout<T>.size {
        case 1: word(UInt8.self).pointee.store(bits(value), ordering: .sequentiallyConsistent)
        case 2: word(UInt16.self).pointee.store(bits(value), ordering: .sequentiallyConsistent)
        case 4: word(UInt32.self).pointee.store(bits(value), ordering: .sequentiallyConsistent)
        default: word(UInt64.self).pointee.store(bits(value), ordering: .sequentiallyConsistent)
        }
    }

    /// Replaces the value.
    /// - Returns: the one that was there before.
    @inlinable @discardableResult
    public func exchange(_ value: T) -> T {
        switch MemoryLayout<T>.size {
        case 1: self.value(word(UInt8.self).pointee.exchange(bits(value), ordering: .sequentiallyConsistent))
        case 2: self.value(word(UInt16.self).pointee.exchange(bits(value), ordering: .sequentiallyConsistent))
        case 4: self.value(word(UInt32.self).pointee.exchange(bits(value), ordering: .sequentiallyConsistent))
        default: self.value(word(UInt64.self).pointee.exchange(bits(value), ordering: .sequentiallyConsistent))
        }
    }

    /// Replaces the value by `desired` if it is `expected`, bit for bit: -0.0 is not 0.0, and a NaN is itself, if it has the same bits.
    ///
    /// Never fails for no reason. To be repeated with what was found, where the new value depends on the old one:
    /// ```swift
    /// var old = highest.load()
    /// while old < mine {
    ///     let (exchanged, original) = highest.compareExchange(expected: old, desired: mine)
    ///     if exchanged { break }
    ///     old = original
    /// }
    /// ```
    /// - Returns: whether it was replaced, and the value that was there before.
    @inlinable @discardableResult
    public func compareExchange(expected: T, desired: T) -> (exchanged: Bool, original: T) {
        switch MemoryLayout<T>.size {
        case 1:
            outcome(
                word(UInt8.self).pointee.compareExchange(
                    expected: bits(expected), desired: bits(desired), ordering: .sequentiallyConsistent))
        case 2:
            outcome(
                word(UInt16.self).pointee.compareExchange(
                    expected: bits(expected), desired: bits(desired), ordering: .sequentiallyConsistent))
        case 4:
            outcome(
                word(UInt32.self).pointee.compareExchange(
                    expected: bits(expected), desired: bits(desired), ordering: .sequentiallyConsistent))
        default:
            outcome(
                word(UInt64.self).pointee.compareExchange(
                    expected: bits(expected), desired: bits(desired), ordering: .sequentiallyConsistent))
        }
    }

    @inlinable @inline(__always)
    func outcome(_ outcome: (exchanged: Bool, original: some FixedWidthInteger)) -> (exchanged: Bool, original: T) {
        (outcome.exchanged, value(outcome.original))
    }

    @inlinable @inline(__always)
    func word<Bits: AtomicRepresentable>(_ type: Bits.Type) -> UnsafeMutablePointer<Atomic<Bits>> {
        place.assumingMemoryBound(to: Atomic<Bits>.self)
    }

    @inlinable @inline(__always)
    func bits<Bits: FixedWidthInteger>(_ value: T) -> Bits { unsafeBitCast(value, to: Bits.self) }

    @inlinable @inline(__always)
    func value(_ bits: some FixedWidthInteger) -> T { unsafeBitCast(bits, to: T.self) }

    // MARK: Travelling

    /// Finds the value that another process of the family has sent. Throws a `DecodingError` elsewhere.
    public convenience init(from decoder: any Decoder) throws {
        self.init(
            retained: try ObjectBlock.decode(.atomic, elementSize: MemoryLayout<T>.size, element: T.self, of: Self.self, from: decoder))
    }

    package static var isReadable: Bool { true }

    package static func find(handle: UInt64, isHeld: Bool) -> Self? {
        ObjectBlock.retain(.atomic, elementSize: MemoryLayout<T>.size, element: T.self, at: handle, isHeld: isHeld).map {
            Self(retained: $0)
        }
    }

    /// Writes the value's place in shared memory. Throws an `EncodingError` for anything but a message to a process of the family.
    public func encode(to encoder: any Encoder) throws { try encodeHandle(to: encoder) }
}

extension SharedAtomic where T: FixedWidthInteger {
    /// Adds `value`, wrapping around where the sum does not fit.
    /// - Returns: the sum. (What was there before is `sum &- value`.)
    @inlinable @discardableResult
    public func add(_ value: T) -> T {
        let old: T =
            switch MemoryLayout<T>.size {
            case 1: self.value(word(UInt8.self).pointee.wrappingAdd(bits(value), ordering: .sequentiallyConsistent).oldValue)
            case 2: self.value(word(UInt16.self).pointee.wrappingAdd(bits(value), ordering: .sequentiallyConsistent).oldValue)
            case 4: self.value(word(UInt32.self).pointee.wrappingAdd(bits(value), ordering: .sequentiallyConsistent).oldValue)
            default: self.value(word(UInt64.self).pointee.wrappingAdd(bits(value), ordering: .sequentiallyConsistent).oldValue)
            }
        return old &+ value
    }
}
