import Synchronization

/// How values of one type are coded: found out once for each type, as asking the runtime for conformances costs more than coding a small value.
struct TypePlan {
    enum Kind: UInt8 {
        /// As its bytes in memory.
        case raw
        case string
        /// One of the standard library's containers, by code of this module.
        case composite
        /// By the type's own `Codable` conformance.
        case codable
    }

    let type: ObjectIdentifier
    let encoding: Kind
    let decoding: Kind
    /// Of a raw type: the tag, and how many bytes it takes alone and in an array.
    let tag: UInt8
    let size: Int
    let stride: Int
    /// The tag of a scalar of eight bytes, by far the most frequent kind of value; 0 for all else.
    let wordTag: UInt8
    /// Whether it travels as a tag and its bytes, as many as a number has: a number, a Bool, or a raw type of such a size.
    let isScalar: Bool
    /// Whether there are bytes that are not values of this raw type.
    let checked: (any RawType.Type)?
    /// The numeric type this is, to convert what was encoded as another.
    let number: (any Number.Type)?
    let encoder: (any CompositeEncodable.Type)?
    let decoder: (any CompositeDecodable.Type)?
    /// The type, if it is that of a shared object.
    let shared: (any SharedHandleDecodable.Type)?
    fileprivate let next: Plan?
}

/// Plans are made once and never freed: there are only so many types in a program.
typealias Plan = UnsafePointer<TypePlan>

extension TypePlan {
    /// Whether a value may be made by the user's code, and not by this module's alone.
    var decodingRunsUsersCode: Bool {
        switch decoding {
        case .raw, .string: false
        case .composite: decoder?.runsUsersCode ?? true
        case .codable: true
        }
    }

    /// The plan of `type`. A few nanoseconds after the first time.
    @inline(__always)
    static func of<T>(_ type: T.Type) -> Plan {
        let id = ObjectIdentifier(type)
        let bucket = PlanTable.bucket(of: id)
        var candidate = Plan(bucket.pointee.load(ordering: .acquiring))
        while let plan = candidate {
            if plan.pointee.type == id { return plan }
            candidate = plan.pointee.next
        }
        return make(type, MemoryLayout<T>.size, MemoryLayout<T>.stride, MemoryLayout<T>.alignment, in: bucket)
    }

    @inline(never)
    private static func make(_ type: Any.Type, _ size: Int, _ stride: Int, _ alignment: Int, in bucket: PlanTable.Bucket) -> Plan {
        let rawType = type as? any RawType.Type
        var tag = rawType?.tag ?? Tag.raw
        if tag == Tag.raw { tag = Tag.raw(size: size, stride: stride, alignment: alignment) }
        let isRaw = rawType != nil || type is any RawTransferable.Type
        let encoder = type as? any CompositeEncodable.Type ?? handleEncoding(of: type)
        let decoder = type as? any CompositeDecodable.Type ?? handleDecoding(of: type)
        let isString = type == String.self
        func kind(composite: Bool) -> Kind { isRaw ? .raw : isString ? .string : composite ? .composite : .codable }
        let new = UnsafeMutablePointer<TypePlan>.allocate(capacity: 1)
        var head = bucket.pointee.load(ordering: .acquiring)
        while true {
            new.initialize(
                to: TypePlan(
                    type: ObjectIdentifier(type), encoding: kind(composite: encoder != nil), decoding: kind(composite: decoder != nil),
                    tag: tag, size: size, stride: stride, wordTag: isRaw && Tag.scalarSize(tag) == 8 ? tag : 0,
                    isScalar: isRaw && Tag.scalarSize(tag) != nil,
                    checked: type == Bool.self ? rawType : nil, number: type as? any Number.Type, encoder: encoder, decoder: decoder,
                    shared: type as? any SharedHandleDecodable.Type, next: Plan(head)))
            // No lock: a lock held by another thread at the moment of a fork would stay locked in the child. Two threads
            // that meet here make two plans for one type, which is harmless.
            let (exchanged, now) = bucket.pointee.compareExchange(expected: head, desired: new, ordering: .acquiringAndReleasing)
            if exchanged { return Plan(new) }
            head = now
        }
    }
}

/// A hash table of plans, each bucket a list that only ever grows at its head.
private enum PlanTable {
    typealias Bucket = UnsafeMutablePointer<Atomic<UnsafeMutablePointer<TypePlan>?>>

    private static let bits = 10
    // An atomic, as that is initialised when the program is loaded. A constant made at its first use would be asked for by a call each time. (Unsafe:
    // the compiler does not take pointers for Sendable, but these are only used atomically.)
    private nonisolated(unsafe) static let buckets = Atomic<Bucket?>(nil)

    @inline(__always)
    static func bucket(of type: ObjectIdentifier) -> Bucket {
        // Fibonacci hashing: metadata addresses differ in their middle bits.
        (buckets.load(ordering: .acquiring) ?? make())
            + Int(truncatingIfNeeded: (UInt64(UInt(bitPattern: type)) &* 0x9E37_79B9_7F4A_7C15) >> UInt64(64 - bits))
    }

    @inline(never)
    private static func make() -> Bucket {
        let new = Bucket.allocate(capacity: 1 << bits)
        for place in 0..<1 << bits { (new + place).initialize(to: Atomic(nil)) }
        let (exchanged, original) = buckets.compareExchange(expected: nil, desired: new, ordering: .acquiringAndReleasing)
        // Another thread may have been faster. (Atomics of a pointer need no deinitialisation.)
        if !exchanged { new.deallocate() }
        return exchanged ? new : original.unsafelyUnwrapped
    }
}
