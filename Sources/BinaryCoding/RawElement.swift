/// A standard type that travels as its bytes in memory.
protocol RawType {
    static var tag: UInt8 { get }
    /// Whether `bytes`, of which there are a multiple of the stride, are all values of this type.
    static func accepts(_ bytes: UnsafeRawBufferPointer) -> Bool
}

/// A ``RawType`` that has a tag of its own. (SIMD vectors are trivial too, but the compiler cannot tell.)
protocol RawElement: RawType, BitwiseCopyable {}

extension RawType {
    @inline(__always)
    static func accepts(_ bytes: UnsafeRawBufferPointer) -> Bool { true }
}

extension Bool: RawElement {
    static var tag: UInt8 { Tag.bool }
    // A Bool that is neither 0 nor 1 is undefined behaviour in whatever looks at it.
    static func accepts(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var seen: UInt8 = 0
        for byte in bytes { seen |= byte }
        return seen <= 1
    }
}

extension Int8: RawElement { static var tag: UInt8 { Tag.int8 } }
extension Int16: RawElement { static var tag: UInt8 { Tag.int16 } }
extension Int32: RawElement { static var tag: UInt8 { Tag.int32 } }
extension Int64: RawElement { static var tag: UInt8 { Tag.int64 } }
extension Int128: RawElement { static var tag: UInt8 { Tag.int128 } }
extension Int: RawElement { static var tag: UInt8 { Tag.int } }
extension UInt8: RawElement { static var tag: UInt8 { Tag.uint8 } }
extension UInt16: RawElement { static var tag: UInt8 { Tag.uint16 } }
extension UInt32: RawElement { static var tag: UInt8 { Tag.uint32 } }
extension UInt64: RawElement { static var tag: UInt8 { Tag.uint64 } }
extension UInt128: RawElement { static var tag: UInt8 { Tag.uint128 } }
extension UInt: RawElement { static var tag: UInt8 { Tag.uint } }
extension Float: RawElement { static var tag: UInt8 { Tag.float } }
extension Double: RawElement { static var tag: UInt8 { Tag.double } }
#if !((os(macOS) || targetEnvironment(macCatalyst)) && arch(x86_64))
    extension Float16: RawElement { static var tag: UInt8 { Tag.float16 } }
#endif

// Only scalars that are numbers conform to SIMDScalar in the standard library, so no vector holds anything that needs checking.
extension SIMD2: RawType where Scalar: RawElement { static var tag: UInt8 { Tag.raw } }
extension SIMD3: RawType where Scalar: RawElement { static var tag: UInt8 { Tag.raw } }
extension SIMD4: RawType where Scalar: RawElement { static var tag: UInt8 { Tag.raw } }
extension SIMD8: RawType where Scalar: RawElement { static var tag: UInt8 { Tag.raw } }
extension SIMD16: RawType where Scalar: RawElement { static var tag: UInt8 { Tag.raw } }
extension SIMD32: RawType where Scalar: RawElement { static var tag: UInt8 { Tag.raw } }
extension SIMD64: RawType where Scalar: RawElement { static var tag: UInt8 { Tag.raw } }
