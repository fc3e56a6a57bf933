/// The first byte of every value. The README of this room lists what follows each.
enum Tag {
    static let null: UInt8 = 0x00
    /// The value that follows is nil or `some`, one optional further in.
    static let some: UInt8 = 0x01
    /// A value whose `encode(to:)` wrote nothing.
    static let empty: UInt8 = 0x02
    static let bool: UInt8 = 0x03
    static let handle: UInt8 = 0x04

    static let int8: UInt8 = 0x10
    static let int16: UInt8 = 0x11
    static let int32: UInt8 = 0x12
    static let int64: UInt8 = 0x13
    static let int128: UInt8 = 0x14
    static let int: UInt8 = 0x15
    static let uint8: UInt8 = 0x18
    static let uint16: UInt8 = 0x19
    static let uint32: UInt8 = 0x1A
    static let uint64: UInt8 = 0x1B
    static let uint128: UInt8 = 0x1C
    static let uint: UInt8 = 0x1D
    static let float16: UInt8 = 0x20
    static let float: UInt8 = 0x21
    static let double: UInt8 = 0x22

    /// A trivial value of another type: its size, its bytes.
    static let raw: UInt8 = 0x30
    // The same of 1, 2, 4, 8 and 16 bytes, which then travels as numbers do.
    static let raw1: UInt8 = 0x31
    static let raw2: UInt8 = 0x32
    static let raw4: UInt8 = 0x33
    static let raw8: UInt8 = 0x34
    static let raw16: UInt8 = 0x35
    static let shortString: UInt8 = 0x40
    static let longString: UInt8 = 0x41
    static let rawArray: UInt8 = 0x50
    static let keyed: UInt8 = 0x60
    static let unkeyed: UInt8 = 0x61

    // Slots made by `nestedContainer` and `superEncoder`: they may be written to after their neighbours, so they have room for a link.
    static let nestedEmpty: UInt8 = 0x70
    static let nestedKeyed: UInt8 = 0x71
    static let nestedUnkeyed: UInt8 = 0x72
    static let nestedSingle: UInt8 = 0x73
    /// A further piece of a nested slot, inside a container it does not belong to. Also in the place of a key.
    static let piece: UInt8 = 0x7B

    /// How many bytes the payload of a scalar has, nil for all other tags.
    @inline(__always)
    static func scalarSize(_ tag: UInt8) -> Int? {
        switch tag {
        case bool, int8, uint8, raw1: 1
        case int16, uint16, float16, raw2: 2
        case int32, uint32, float, raw4: 4
        case int64, uint64, int, uint, double, handle, raw8: 8
        case int128, uint128, raw16: 16
        default: nil
        }
    }

    /// The tag of a raw type: one that says its size, where it can be handled as a number of that size.
    static func raw(size: Int, stride: Int, alignment: Int) -> UInt8 {
        guard size == stride, alignment <= 16 else { return raw }
        return switch size {
        case 1: raw1
        case 2: raw2
        case 4: raw4
        case 8: raw8
        case 16: raw16
        default: raw
        }
    }
}

/// The first byte of an entry of a keyed container, where it is not the length of a short key.
enum KeyHead {
    static let longestShort = 0x6F
    /// An integer key whose string is its decimal form.
    static let int: UInt8 = 0x78
    static let intAndString: UInt8 = 0x79
    static let longString: UInt8 = 0x7A
    /// Set on an entry that a later one with the same key has replaced.
    static let replaced: UInt8 = 0x80
}

/// The eight bytes at the head of a container: its tag in the lowest byte, the length of its contents above.
enum Head {
    static let size = 8
    /// With the link of a nested slot behind it.
    static let nestedSize = 16
    /// With the link, and the way back to the slot it belongs to.
    static let pieceSize = 24

    @inline(__always)
    static func word(_ tag: UInt8, length: Int) -> UInt64 { UInt64(tag) | UInt64(UInt(bitPattern: length)) << 8 }
    @inline(__always)
    static func length(_ word: UInt64) -> Int { Int(truncatingIfNeeded: word >> 8) }
}
