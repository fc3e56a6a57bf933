/// Tells functions apart within this process, for caches: the same function in the same generic form has the same identity.
///
/// It is the address of the code, through all layers of thunks, with the types that these hold, and the type of the invocation. Making one neither allocates nor
/// looks anything up. It means nothing in another process.
package struct FunctionIdentity: Hashable, Sendable, BitwiseCopyable {
    /// Five layers of thunks, generic ones among them.
    private static let capacity = 12

    private let type: UInt
    private var count = 0
    private var words = InlineArray<12, UInt>(repeating: 0)

    init(_ function: FunctionWords, type: Any.Type) throws(TransferError) {
        self.type = UInt(bitPattern: TypeMetadata(type).address)
        try append(function)
    }

    private mutating func append(_ function: FunctionWords) throws(TransferError) {
        try append(function.code)
        guard let context = UnsafeRawPointer(bitPattern: function.context) else { return }
        let box: ThunkBox
        do throws(CaptureRefusal) { box = try ThunkBox(context) } catch { throw error.asTransferError }
        // Witness tables follow from the code and the types.
        for index in 0..<box.shape.types { try append(UInt(bitPattern: box.type(index))) }
        for index in 0..<box.shape.functions { try append(box.function(index)) }
    }

    private mutating func append(_ word: UInt) throws(TransferError) {
        guard count < Self.capacity else {
            throw .capturesState("the function is wrapped in too many others (casts of casts of function values); pass it less wrapped")
        }
        words[count] = word
        count += 1
    }

    package static func == (left: Self, right: Self) -> Bool {
        guard left.type == right.type, left.count == right.count else { return false }
        for index in 0..<left.count where left.words[index] != right.words[index] { return false }
        return true
    }

    /// A hash of a multiplication, for tables that need none that withstands attacks; its upper bits are the good ones. Made of the type and the innermost
    /// code, which tell nearly all functions apart.
    package var quickHash: UInt {
        (type ^ words[count - 1].byteSwapped) &* 0x9E37_79B9_7F4A_7C15
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(quickHash)
    }
}
