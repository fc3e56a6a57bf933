/// Tells functions apart as ``FunctionIdentity`` does, for those that need no closer look: without a context, and with no more than three parameters. Smaller, and made
/// without asking the runtime for anything: what generic code has at hand is the types of a signature, not the type of an invocation made of them.
@usableFromInline
package struct FunctionKey: Equatable, Sendable, BitwiseCopyable {
    /// A result counts too.
    static let typeLimit = 4

    @usableFromInline let code: UInt
    /// The convention, and the number of types.
    @usableFromInline var shape: UInt
    @usableFromInline var first: UInt = 0
    @usableFromInline var second: UInt = 0
    @usableFromInline var third: UInt = 0
    @usableFromInline var fourth: UInt = 0

    @inline(__always)
    init(_ function: FunctionWords, _ convention: CallConvention) {
        code = function.code
        shape = UInt(convention.rawValue)
    }

    /// Adds a type of the signature. One too many makes the key ``isOverfull``.
    @inline(__always)
    mutating func append(_ type: Any.Type) {
        let word = unsafeBitCast(type, to: UInt.self)
        switch shape >> 8 {
        case 0: first = word
        case 1: second = word
        case 2: third = word
        default: fourth = word
        }
        shape += 1 << 8
    }

    var isOverfull: Bool { shape >> 8 > UInt(Self.typeLimit) }

    /// A hash of a multiplication, for tables that need none that withstands attacks; its upper bits are the good ones.
    @inlinable package var quickHash: UInt {
        // All types count: a generic function may have one code for all.
        (code.byteSwapped ^ shape ^ first ^ (second << 7) ^ (third << 14) ^ (fourth << 21)) &* 0x9E37_79B9_7F4A_7C15
    }

    @inlinable @inline(__always)
    package static func == (left: Self, right: Self) -> Bool {
        (left.code ^ right.code) | (left.shape ^ right.shape) | (left.first ^ right.first) | (left.second ^ right.second)
            | (left.third ^ right.third) | (left.fourth ^ right.fourth) == 0
    }
}
