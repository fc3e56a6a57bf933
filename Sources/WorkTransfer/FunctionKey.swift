/// Tells functions apart as ``FunctionIdentity`` does, for all but those with many parameters or many layers of thunks. Smaller, and made without asking the runtime for
/// anything: what generic code has at hand is the types of a signature, not the type of an invocation made of them.
@usableFromInline
package struct FunctionKey: Equatable, Sendable, BitwiseCopyable {
    /// The convention, how many types the signature has, and how many words there are.
    @usableFromInline var shape: UInt
    // The types of the signature; then, for each layer of thunks, the code, and the types that its box holds.
    @usableFromInline var first: UInt = 0
    @usableFromInline var second: UInt = 0
    @usableFromInline var third: UInt = 0
    @usableFromInline var fourth: UInt = 0
    @usableFromInline var fifth: UInt = 0
    @usableFromInline var sixth: UInt = 0
    @usableFromInline var seventh: UInt = 0

    @inline(__always)
    init(_ convention: CallConvention) { shape = UInt(convention.rawValue) << 16 }

    /// Adds a type of the signature, all of which come before the function.
    @inline(__always)
    mutating func append(_ type: Any.Type) {
        append(unsafeBitCast(type, to: UInt.self))
        shape += 1 << 8
    }

    /// Adds the function.
    /// - Returns: whether the key is one: the function has a context that can be told, if any, and all fits in.
    @inline(__always)
    mutating func append(_ function: FunctionWords) -> Bool {
        if function.context != 0 { return appendWrapped(function) }
        append(function.code)
        return shape & 0xff <= 7
    }

    @inline(never)
    private mutating func appendWrapped(_ function: FunctionWords) -> Bool {
        append(function.code)
        // Bounds the recursion: no more layers than words.
        guard shape & 0xff <= 7 else { return false }
        guard let context = UnsafeRawPointer(bitPattern: function.context) else { return true }
        guard let box = try? ThunkBox(context) else { return false }
        // Witness tables follow from the code and the types.
        for index in 0..<box.shape.types { append(UInt(bitPattern: box.type(index))) }
        for index in 0..<box.shape.functions where !appendWrapped(box.function(index)) { return false }
        return true
    }

    @inline(__always)
    private mutating func append(_ word: UInt) {
        switch shape & 0xff {
        case 0: first = word
        case 1: second = word
        case 2: third = word
        case 3: fourth = word
        case 4: fifth = word
        case 5: sixth = word
        case 6: seventh = word
        // Too many are counted, and not looked at.
        default: if shape & 0xff == 0x80 { shape -= 1 }
        }
        shape += 1
    }

    /// A hash of a multiplication, for tables that need none that withstands attacks; its upper bits are the good ones.
    @inlinable package var quickHash: UInt {
        // The shifts keep apart what consists of the same words in another order, and bring code, which differs in its lowest bits, to where types do not differ.
        let types = first ^ (second << 5) ^ (third << 10) ^ (fourth << 15)
        let rest = (fifth << 3) ^ (sixth << 7) ^ (seventh << 11)
        return (shape ^ types ^ rest) &* 0x9E37_79B9_7F4A_7C15
    }

    @inlinable @inline(__always)
    package static func == (left: Self, right: Self) -> Bool {
        let half = (left.shape ^ right.shape) | (left.first ^ right.first) | (left.second ^ right.second) | (left.third ^ right.third)
        return half | (left.fourth ^ right.fourth) | (left.fifth ^ right.fifth) | (left.sixth ^ right.sixth)
            | (left.seventh ^ right.seventh) == 0
    }
}
