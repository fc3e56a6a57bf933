/// A number that may also be read from what was written as another number type, where no value is lost: an `Int` written by one type's
/// `encode(to:)` and read as an `Int64` by its `init(from:)` works with Foundation's coders, so it does here.
protocol Number: RawElement {
    init?(exactInteger: Int128)
    init?(exactInteger: UInt128)
    init?(exactDouble: Double)
}

extension Number {
    /// Reads the number in `slot` as a `Self` into `address`, and returns whether it is one.
    static func convert(_ slot: Slot, in source: Source, to address: UnsafeMutableRawPointer) throws -> Bool {
        func load<N: BitwiseCopyable>(_ type: N.Type) throws -> N { try source.load(slot.payload, before: slot.payloadEnd) }
        let number: Self? =
            switch slot.tag {
            case Tag.int8: Self(exactInteger: Int128(try load(Int8.self)))
            case Tag.int16: Self(exactInteger: Int128(try load(Int16.self)))
            case Tag.int32: Self(exactInteger: Int128(try load(Int32.self)))
            case Tag.int64, Tag.int: Self(exactInteger: Int128(try load(Int64.self)))
            case Tag.int128: Self(exactInteger: try load(Int128.self))
            case Tag.uint8: Self(exactInteger: Int128(try load(UInt8.self)))
            case Tag.uint16: Self(exactInteger: Int128(try load(UInt16.self)))
            case Tag.uint32: Self(exactInteger: Int128(try load(UInt32.self)))
            case Tag.uint64, Tag.uint: Self(exactInteger: Int128(try load(UInt64.self)))
            case Tag.uint128: Self(exactInteger: try load(UInt128.self))
            case Tag.float: Self(exactDouble: Double(try load(Float.self)))
            case Tag.double: Self(exactDouble: try load(Double.self))
            #if !((os(macOS) || targetEnvironment(macCatalyst)) && arch(x86_64))
                case Tag.float16: Self(exactDouble: Double(try load(Float16.self)))
            #endif
            default: nil
            }
        guard let number else { return false }
        address.storeBytes(of: number, as: Self.self)
        return true
    }
}

extension Number where Self: FixedWidthInteger {
    init?(exactInteger: Int128) { self.init(exactly: exactInteger) }
    init?(exactInteger: UInt128) { self.init(exactly: exactInteger) }
    init?(exactDouble: Double) { self.init(exactly: exactDouble) }
}

extension Number where Self: BinaryFloatingPoint {
    init?(exactInteger: Int128) { self.init(exactly: exactInteger) }
    init?(exactInteger: UInt128) { self.init(exactly: exactInteger) }
    init?(exactDouble: Double) {
        // NaN equals nothing, so `init(exactly:)` refuses it.
        if exactDouble.isNaN { self = Self.nan } else { self.init(exactly: exactDouble) }
    }
}

extension Int8: Number {}
extension Int16: Number {}
extension Int32: Number {}
extension Int64: Number {}
extension Int128: Number {}
extension Int: Number {}
extension UInt8: Number {}
extension UInt16: Number {}
extension UInt32: Number {}
extension UInt64: Number {}
extension UInt128: Number {}
extension UInt: Number {}
extension Float: Number {}
extension Double: Number {}
#if !((os(macOS) || targetEnvironment(macCatalyst)) && arch(x86_64))
    extension Float16: Number {}
#endif
