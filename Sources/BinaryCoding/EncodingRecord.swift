/// The state of one slot that is being written: of a value whose `encode(to:)` runs, of a nested container, of a super encoder.
struct EncodingRecord {
    enum Contents: UInt8 { case nothing, single, keyed, unkeyed }

    /// Unlike the record's place, never used twice: an encoder kept after its time does not match.
    let serial: UInt64
    /// Which running `encode(to:)` made it.
    let frame: Int
    let level: Int
    /// The record around it, -1 at the top.
    let parent: Int
    let key: PathKey
    /// Where the slot begins.
    let start: Int
    /// Made by `nestedContainer` or `superEncoder`: may be left and taken up again.
    let isNested: Bool

    /// The record whose contents the bytes being written lie in: the parent's, or, for a further piece, whichever was open.
    var enclosing: Int
    var contents = Contents.nothing
    /// Whether bytes written now are its own, or a descendant's.
    var isOpen = true
    /// Where the head of the piece being written begins.
    var head: Int
    var count = 0
    var keys = KeyMemory()

    /// Where the contents of the piece being written begin.
    var contentStart: Int {
        head + (!isNested ? Head.size : head == start ? Head.nestedSize : Head.pieceSize)
    }

    /// The tag in the first head.
    var tag: UInt8 {
        switch contents {
        case .nothing: isNested ? Tag.nestedEmpty : Tag.empty
        case .single: Tag.nestedSingle
        case .keyed: isNested ? Tag.nestedKeyed : Tag.keyed
        case .unkeyed: isNested ? Tag.nestedUnkeyed : Tag.unkeyed
        }
    }
}

/// Which keys a container may already hold. Says "no" for certain, "yes" only perhaps.
///
/// A key that is encoded twice replaces its earlier value, as in Foundation's encoders; looking for it at every key must cost next to nothing.
struct KeyMemory {
    private var mask: UInt64 = 0
    private var all: Set<UInt64>?
    private var few: Int = 0

    /// Remembers a key by its hash, and returns whether it may have been there before.
    @inline(__always)
    mutating func insert(_ hash: UInt64) -> Bool {
        if all == nil {
            let bit = UInt64(1) << (hash >> 58)
            defer { mask |= bit }
            return mask & bit != 0
        }
        return all?.insert(hash).inserted == false
    }

    /// Whether it is time to remember the keys themselves: with so many, the mask says "perhaps" to everything.
    func isCrowded(count: Int) -> Bool { all == nil && count > 24 }

    mutating func remember(_ hashes: [UInt64]) { all = Set(hashes) }

    /// A hash of a key's bytes as they are written, its first byte included.
    @inline(__always)
    static func hash(_ bytes: UnsafeRawPointer, count: Int) -> UInt64 {
        let first: UInt64
        let last: UInt64
        if count >= 8 {
            first = bytes.loadUnaligned(as: UInt64.self)
            last = bytes.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
        } else if count >= 4 {
            first = UInt64(bytes.loadUnaligned(as: UInt32.self))
            last = UInt64(bytes.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
        } else {
            first = UInt64(bytes.load(as: UInt8.self))
            last = count > 1 ? UInt64(bytes.loadUnaligned(fromByteOffset: count - 2, as: UInt16.self)) : 0
        }
        var mixed = (first ^ (UInt64(count) << 56)) &* 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ (mixed >> 32) ^ last) &* 0xD6E8_FEB8_6659_FD93
        return mixed ^ (mixed >> 32)
    }
}
