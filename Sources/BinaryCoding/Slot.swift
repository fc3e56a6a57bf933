/// Bytes that do not follow the format.
struct Malformed: Error {
    let offset: Int
    let reason: StaticString
}

/// One encoded value, found in the bytes but not yet understood.
struct Slot {
    var tag: UInt8
    /// Where its contents begin and end.
    var payload: Int
    var payloadEnd: Int
    /// Where the value behind it begins.
    var end: Int
    /// Where its head begins: pieces written later name the slot they belong to by it.
    var head: Int
    /// Where the next piece of its contents begins, 0 for none.
    var link: Int

    @inline(__always)
    init(tag: UInt8, payload: Int, payloadEnd: Int, head: Int, end: Int? = nil, link: Int = 0) {
        self.tag = tag
        self.payload = payload
        self.payloadEnd = payloadEnd
        self.end = end ?? payloadEnd
        self.head = head
        self.link = link
    }

    var isNull: Bool { tag == Tag.null || tag == Tag.some }
    var isEmpty: Bool { tag == Tag.empty || tag == Tag.nestedEmpty }
}

/// The bytes being decoded. Every access is checked against a limit that is itself within the bytes.
struct Source {
    let bytes: UnsafeRawBufferPointer

    @inline(__always)
    func load<T: BitwiseCopyable>(_ offset: Int, before limit: Int, as type: T.Type = T.self) throws(Malformed) -> T {
        guard offset >= 0, limit <= bytes.count, limit - offset >= MemoryLayout<T>.size, let base = bytes.baseAddress else {
            throw Malformed(offset: offset, reason: "the bytes end inside a value")
        }
        return (base + offset).loadUnaligned(as: T.self)
    }

    /// Whether `slot` holds a number of just the type that `plan` is for, which needs no check. It can then be had by ``loadNumber(_:plan:from:)``.
    @inline(__always)
    func holdsNumber(_ slot: Slot, plan: Plan) -> Bool {
        slot.tag == plan.pointee.tag && slot.tag != Tag.raw && slot.tag != Tag.bool
    }

    /// A number. (Not an optional one: its type would have to be looked up.)
    @inline(__always)
    func loadNumber<T>(_ type: T.Type, plan: Plan, from slot: Slot) -> T {
        // A slot that was found lies within the bytes.
        let address = bytes.baseAddress.unsafelyUnwrapped + slot.payload
        return BinaryCoding.loadNumber(type, plan: plan, from: address)
    }

    /// The value at `offset`, which must end before `limit`. Takes constant time, whatever the value holds.
    @inline(__always)
    func slot(at offset: Int, before limit: Int) throws(Malformed) -> Slot {
        let tag: UInt8 = try load(offset, before: limit)
        if let size = Tag.scalarSize(tag) {
            guard limit - offset > size else { throw Malformed(offset: offset, reason: "the bytes end inside a number") }
            return Slot(tag: tag, payload: offset + 1, payloadEnd: offset + 1 + size, head: offset)
        }
        return try slotOfOtherSize(tag, at: offset, before: limit)
    }

    private func slotOfOtherSize(_ tag: UInt8, at offset: Int, before limit: Int) throws(Malformed) -> Slot {
        switch tag {
        case Tag.null, Tag.empty:
            return Slot(tag: tag, payload: offset + 1, payloadEnd: offset + 1, head: offset)
        case Tag.some:
            // Any number of `some`s, then the nil they lead to.
            var last = offset + 1
            while true {
                let next: UInt8 = try load(last, before: limit)
                if next == Tag.null { break }
                guard next == Tag.some else { throw Malformed(offset: last, reason: "nested optionals that do not end in nil") }
                last += 1
            }
            return Slot(tag: tag, payload: offset + 1, payloadEnd: last + 1, head: offset)
        case Tag.shortString:
            return try sized(
                tag, length: Int(try load(offset + 1, before: limit, as: UInt8.self)), from: offset + 2, at: offset, before: limit)
        case Tag.raw:
            return try sized(
                tag, length: Int(try load(offset + 1, before: limit, as: UInt32.self)), from: offset + 5, at: offset, before: limit)
        case Tag.longString, Tag.keyed, Tag.unkeyed, Tag.rawArray:
            let length = Head.length(try load(offset, before: limit))
            return try sized(tag, length: length, from: offset + Head.size, at: offset, before: limit)
        case Tag.nestedEmpty, Tag.nestedKeyed, Tag.nestedUnkeyed, Tag.nestedSingle:
            return try nestedSlot(tag, at: offset, before: limit)
        default:
            throw Malformed(offset: offset, reason: "no value begins with this byte")
        }
    }

    @inline(__always)
    private func sized(_ tag: UInt8, length: Int, from start: Int, at offset: Int, before limit: Int) throws(Malformed) -> Slot {
        guard length <= limit - start else { throw Malformed(offset: offset, reason: "a length reaches past the end") }
        return Slot(tag: tag, payload: start, payloadEnd: start + length, head: offset)
    }

    private func nestedSlot(_ tag: UInt8, at offset: Int, before limit: Int) throws(Malformed) -> Slot {
        let length = Head.length(try load(offset, before: limit))
        let link: UInt64 = try load(offset + 8, before: limit)
        var slot = try sized(tag, length: length, from: offset + Head.nestedSize, at: offset, before: limit)
        slot.link = try target(of: link, at: offset, behind: slot.end)
        guard tag == Tag.nestedSingle else { return slot }
        // What matters is the value inside, which is in the first piece that holds anything.
        var cursor = Cursor(slot)
        guard try cursor.settle(in: self) else { throw Malformed(offset: offset, reason: "an empty slot that should hold a value") }
        let innerTag: UInt8 = try load(cursor.position, before: cursor.end)
        // An encoder never puts one nested slot straight into another, and allowing it would allow any depth.
        guard innerTag < Tag.nestedEmpty else { throw Malformed(offset: cursor.position, reason: "a slot in a slot") }
        var inner = try self.slot(at: cursor.position, before: cursor.end)
        inner.end = slot.end
        return inner
    }

    /// Where a link leads. Only forward, so that following links comes to an end.
    func target(of link: UInt64, at offset: Int, behind end: Int) throws(Malformed) -> Int {
        if link == 0 { return 0 }
        guard link < UInt64(bytes.count), offset + Int(link) >= end, offset + Int(link) < bytes.count else {
            throw Malformed(offset: offset, reason: "a link that leads nowhere")
        }
        return offset + Int(link)
    }
}

/// The number at `address`, by the size of its type.
@inline(__always)
func loadNumber<T>(_ type: T.Type, plan: Plan, from address: UnsafeRawPointer) -> T {
    switch plan.pointee.size {
    case 8: return unsafeBitCast(address.loadUnaligned(as: UInt64.self), to: T.self)
    case 4: return unsafeBitCast(address.loadUnaligned(as: UInt32.self), to: T.self)
    case 2: return unsafeBitCast(address.loadUnaligned(as: UInt16.self), to: T.self)
    case 1: return unsafeBitCast(address.loadUnaligned(as: UInt8.self), to: T.self)
    case 16: return unsafeBitCast(address.loadUnaligned(as: UInt128.self), to: T.self)
    default: preconditionFailure("a number of another size")
    }
}

/// Walks over the contents of a container, from piece to piece.
struct Cursor {
    private(set) var end: Int
    var position: Int
    private var link: Int
    private let owner: Int

    @inline(__always)
    init(_ slot: Slot) {
        position = slot.payload
        end = slot.payloadEnd
        link = slot.link
        owner = slot.head
    }

    /// Steps over pieces of other containers and on to the next piece of this one. Returns whether there is anything more.
    @inline(__always)
    mutating func settle(in source: Source) throws(Malformed) -> Bool {
        if position < end, source.bytes[position] != Tag.piece { return true }
        return try settleSlowly(in: source)
    }

    private mutating func settleSlowly(in source: Source) throws(Malformed) -> Bool {
        while true {
            if position == end {
                if link == 0 { return false }
                try enterPiece(in: source)
            } else if try source.load(position, before: end, as: UInt8.self) == Tag.piece {
                // Of another container: stepped over here, reached there by its link.
                let length = Head.length(try source.load(position, before: end))
                guard length <= end - position - Head.pieceSize else {
                    throw Malformed(offset: position, reason: "a piece that reaches past the end")
                }
                position += Head.pieceSize + length
            } else {
                return true
            }
        }
    }

    private mutating func enterPiece(in source: Source) throws(Malformed) {
        let at = link
        let all = source.bytes.count
        let word: UInt64 = try source.load(at, before: all)
        let next: UInt64 = try source.load(at + 8, before: all)
        let back: UInt64 = try source.load(at + 16, before: all)
        // A piece belongs to one slot alone. If several could share it, a few bytes would stand for exponentially many values.
        guard UInt8(truncatingIfNeeded: word) == Tag.piece, back == UInt64(at - owner) else {
            throw Malformed(offset: at, reason: "a link to what does not belong to its slot")
        }
        let length = Head.length(word)
        guard length <= all - at - Head.pieceSize else { throw Malformed(offset: at, reason: "a piece that reaches past the end") }
        position = at + Head.pieceSize
        end = position + length
        link = try source.target(of: next, at: at, behind: end)
    }
}
