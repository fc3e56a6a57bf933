/// How the values of a *leaf* type travel: by themselves a tag and their bytes, or a string, or a shared object's place. Found out once, where the same types are coded many times, as the
/// types of a function's arguments are; then a value is coded without another look at its type, in some ten instructions.
///
/// Leaves are `Bool`, the numbers of the standard library, SIMD vectors and `RawTransferable` types of as many bytes as a number has, `String`, and shared objects:
/// what fits into a ``LeafCell``.
@usableFromInline
package struct LeafForm: BitwiseCopyable, Sendable {
    /// The tag in front of a value; that of a short string for strings.
    @usableFromInline let tag: UInt8
    /// The bytes of a value behind its tag; 0 for what owns memory.
    @usableFromInline let size: UInt8
    /// Of shared objects: how they are written and found. (Plans are never changed nor freed.)
    private nonisolated(unsafe) let plan: Plan?

    private init(tag: UInt8, size: UInt8, plan: Plan? = nil) {
        self.tag = tag
        self.size = size
        self.plan = plan
    }

    /// Whether a cell that holds a value owns memory, or an object: see ``LeafCell/destroy(as:)``.
    @inlinable package var ownsMemory: Bool { size == 0 }

    /// The form of `type`, nil where it is no leaf. Some nanoseconds.
    package static func of<T>(_ type: T.Type) -> LeafForm? {
        let plan = TypePlan.of(type)
        switch plan.pointee.encoding {
        case .raw:
            guard plan.pointee.tag != Tag.raw, let size = Tag.scalarSize(plan.pointee.tag) else { return nil }
            return LeafForm(tag: plan.pointee.tag, size: UInt8(size))
        case .string: return LeafForm(tag: Tag.shortString, size: 0)
        case .composite where plan.pointee.shared != nil: return LeafForm(tag: Tag.handle, size: 0, plan: plan)
        case .composite, .codable: return nil
        }
    }

    /// What stands before the eight bytes of a value; nil for types whose values are not a tag and eight bytes.
    package var wordTag: UInt8? { size == 8 ? tag : nil }

    /// Whether the values are shared objects.
    package var isObject: Bool { tag == Tag.handle }
    fileprivate var objectType: (any SharedHandleDecodable.Type)? { plan?.pointee.shared }

    /// For places that hold no value.
    package static var none: LeafForm { LeafForm(tag: Tag.null, size: 1) }
}

/// Room for a value of any leaf type, as it lies in memory, at the cell's own address.
@usableFromInline
package struct LeafCell: BitwiseCopyable, Sendable {
    // An integer has the alignment that is needed, and is read in words, as its parts have been stored; a vector would be read as one.
    @usableFromInline var bits: UInt128

    @inlinable @inline(__always)
    package init() { bits = 0 }

    @inlinable @inline(__always)
    init(_ word: UInt64) { bits = UInt128(truncatingIfNeeded: word) }

    mutating func store(_ string: String) {
        withUnsafeMutableBytes(of: &self) { _ = $0.baseAddress.unsafelyUnwrapped.initializeMemory(as: String.self, to: string) }
    }

    mutating func store(_ object: AnyObject) { self = LeafCell(UInt64(UInt(bitPattern: Unmanaged.passRetained(object).toOpaque()))) }

    /// The object in it, which stays the cell's.
    fileprivate var object: Unmanaged<AnyObject>? { UnsafeRawPointer(bitPattern: UInt(truncatingIfNeeded: bits)).map { .fromOpaque($0) } }

    /// Frees what a string holds, lets go of an object. Only for a cell whose form says that it owns memory, once, after its last use.
    package mutating func destroy(as form: LeafForm) {
        if form.isObject {
            object?.release()
            return
        }
        withUnsafeMutableBytes(of: &self) {
            _ = $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: String.self).deinitialize(count: 1)
        }
    }
}

extension ByteReader {
    /// Takes a value of a leaf type into `cell`, which must be empty.
    /// - Returns: false where the next bytes are not such a value, or need a closer look, as a number of another type does; nothing has changed then.
    ///   ``decodeBinary(_:from:)`` says what they are.
    @inlinable @inline(__always)
    package mutating func take(_ form: LeafForm, into cell: inout LeafCell) -> Bool {
        // Most values are eight bytes, and most cells are read by code that this is a part of.
        guard form.size == 8 else { return takeOther(form, into: &cell) }
        guard remaining > 8, let base = bytes.baseAddress, base.load(fromByteOffset: position, as: UInt8.self) == form.tag else {
            return false
        }
        cell = LeafCell(base.loadUnaligned(fromByteOffset: position &+ 1, as: UInt64.self))
        skip(9)
        return true
    }

    @usableFromInline
    mutating func takeOther(_ form: LeafForm, into cell: inout LeafCell) -> Bool {
        let size = Int(form.size)
        guard remaining > size, let start = bytes.baseAddress.map({ $0 + offset }), start.load(as: UInt8.self) == form.tag else {
            return false
        }
        if form.ownsMemory {
            if form.isObject {
                guard let type = form.objectType, let object = takeObject(type) else { return false }
                cell.store(object)
                return true
            }
            guard let string = shortString() else { return false }
            cell.store(string)
            return true
        }
        // The machine is little-endian: a value's bytes are the first of the cell.
        switch size {
        case 1:
            let byte = (start + 1).load(as: UInt8.self)
            // Whatever looks at a Bool that is neither 0 nor 1 behaves unpredictably.
            if form.tag == Tag.bool, byte > 1 { return false }
            cell = LeafCell(UInt64(byte))
        case 2: cell = LeafCell(UInt64((start + 1).loadUnaligned(as: UInt16.self)))
        case 4: cell = LeafCell(UInt64((start + 1).loadUnaligned(as: UInt32.self)))
        case 8: cell = LeafCell((start + 1).loadUnaligned(as: UInt64.self))
        case 16: cell.bits = (start + 1).loadUnaligned(as: UInt128.self)
        default: preconditionFailure("a number of another size")
        }
        skip(1 + size)
        return true
    }

    /// The bytes of a number or a Bool, if just what the plan, which must be for such a type, says follows.
    mutating func numberBytes(_ plan: Plan) -> UnsafeRawPointer? {
        let size = plan.pointee.size
        guard remaining > size, let start = bytes.baseAddress.map({ $0 + offset }), start.load(as: UInt8.self) == plan.pointee.tag else {
            return nil
        }
        if plan.pointee.tag == Tag.bool, (start + 1).load(as: UInt8.self) > 1 { return nil }
        skip(1 + size)
        return start + 1
    }

    /// The eight bytes of a number with this tag, if that is what follows.
    @inline(__always)
    mutating func takeWord(tag: UInt8) -> UInt64? {
        guard remaining > 8, let start = bytes.baseAddress.map({ $0 + offset }), start.load(as: UInt8.self) == tag else { return nil }
        skip(9)
        return (start + 1).loadUnaligned(as: UInt64.self)
    }

    /// A string of up to 255 bytes, if that is what follows.
    @inline(__always)
    mutating func shortString() -> String? {
        guard remaining >= 2, let start = bytes.baseAddress.map({ $0 + offset }), start.load(as: UInt8.self) == Tag.shortString else {
            return nil
        }
        let length = Int((start + 1).load(as: UInt8.self))
        guard remaining - 2 >= length, let string = String(checking: UnsafeRawBufferPointer(start: start + 2, count: length)) else {
            return nil
        }
        skip(2 + length)
        return string
    }
}

extension ByteWriter {
    /// Appends the place of the object in `cell`, as ``encodeBinary(_:to:)`` would, and takes it over from the cell.
    package final func append(moving cell: LeafCell, as form: LeafForm) throws {
        guard let type = form.objectType, let object = cell.object else { preconditionFailure("a cell without a shared object") }
        let handle = handle(of: object, type)
        try encode(handle: handle, of: object.takeRetainedValue())
    }

    private final func handle<Object: SharedHandleDecodable>(of object: Unmanaged<AnyObject>, _ type: Object.Type) -> UInt64 {
        unsafeBitCast(object, to: Unmanaged<Object>.self)._withUnsafeGuaranteedRef { $0.handle }
    }

    /// Appends the value in `cell`, which is no object, as ``encodeBinary(_:to:)`` would.
    package final func append(_ cell: LeafCell, as form: LeafForm) throws {
        if form.size == 8, capacity - count > 8 {
            let memory = base + count
            memory.storeBytes(of: form.tag, as: UInt8.self)
            (memory + 1).storeBytes(of: UInt64(truncatingIfNeeded: cell.bits), as: UInt64.self)
            advance(by: 9)
        } else if !form.ownsMemory, capacity - count > MemoryLayout<LeafCell>.size {
            // All of the cell: what is too much is overwritten by what comes next.
            let memory = base + count
            memory.storeBytes(of: form.tag, as: UInt8.self)
            (memory + 1).storeBytes(of: cell.bits, as: UInt128.self)
            advance(by: 1 + Int(form.size))
        } else {
            try appendSlowly(cell, as: form)
        }
    }

    @inline(never)
    private final func appendSlowly(_ cell: LeafCell, as form: LeafForm) throws {
        try withUnsafeBytes(of: cell) { bytes in
            let value = bytes.baseAddress.unsafelyUnwrapped
            if form.ownsMemory { return try encodeString(value.load(as: String.self)) }
            let size = Int(form.size)
            let memory = try reserve(1 + size)
            memory.storeBytes(of: form.tag, as: UInt8.self)
            (memory + 1).copyMemory(from: value, byteCount: size)
            advance(by: 1 + size)
        }
    }
}
