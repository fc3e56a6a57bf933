import Synchronization

/// Which type an object's elements are of, as it stands in the object's header: so that an `Int` is not read as a `Double`, nor a 7 as a `Bool`.
///
/// By the type's name, which is the same in all processes of a family, wherever their program was loaded; metadata have addresses, and so have mangled names of
/// private types.
struct TypeMark {
    /// What is compared: FNV-1a of the whole name, never 0. Private types of the same name in the same module are taken for one.
    let hash: UInt64
    /// For messages: the name without its module, or as much of it as there is room for, and zeros.
    let name: SIMD32<UInt8>

    /// What it takes in a header. Written and read in pieces, as it lies at a multiple of 8.
    static let size = 8 + 32

    private init(describing type: any Any.Type) {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        var isInAddress = false
        for byte in _typeName(type, qualified: true).utf8 {
            // The context of a private or local type is named by an address: "(unknown context at $7f00…)".
            if isInAddress, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || UInt8(ascii: "a")...UInt8(ascii: "f") ~= byte { continue }
            isInAddress = byte == UInt8(ascii: "$")
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        self.hash = max(hash, 1)
        var name = SIMD32<UInt8>()
        for (i, byte) in _typeName(type, qualified: false).utf8.prefix(32).enumerated() { name[i] = byte }
        self.name = name
    }

    func write(to memory: UnsafeMutableRawPointer) {
        memory.storeBytes(of: hash, as: UInt64.self)
        (memory + 8).storeBytes(of: name, as: SIMD32<UInt8>.self)
    }

    static func hash(at memory: UnsafeRawPointer) -> UInt64 { memory.load(as: UInt64.self) }

    /// The name in a header, which may be any bytes; nil where there is none.
    static func name(at memory: UnsafeRawPointer) -> String? {
        let bytes = UnsafeRawBufferPointer(start: memory + 8, count: 32)
        let text = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        return text.isEmpty ? nil : bytes[31] == 0 ? text : text + "…"
    }

    // MARK: Once a type

    /// A place for a type that has been asked for. Its key is 0, then 1 while it is being filled, then the type, for ever.
    private struct Place {
        static let key = 0
        static let mark = 32
        static let size = 96
    }

    private static let placeCount = 128
    private static let looks = 4
    private nonisolated(unsafe) static let places: UnsafeMutableRawPointer = {
        let places = UnsafeMutableRawPointer.allocate(byteCount: placeCount * Place.size, alignment: 32)
        places.initializeMemory(as: UInt8.self, repeating: 0, count: placeCount * Place.size)
        return places
    }()

    /// The mark of `type`. Without a lock, which a fork could find taken; what finds no place is made anew each time.
    static func of(_ type: any Any.Type) -> TypeMark {
        let key = UInt(bitPattern: ObjectIdentifier(type))
        // Metadata lie at multiples of 8 or 16, and often one behind the other.
        var index = Int(truncatingIfNeeded: ((key >> 3) &* 0x9e37_79b9_7f4a_7c15) >> 40)
        for _ in 0..<looks {
            index &= placeCount - 1
            let place = places + index * Place.size
            let word = (place + Place.key).assumingMemoryBound(to: Atomic<UInt>.self)
            let found = word.pointee.load(ordering: .acquiring)
            if found == key { return (place + Place.mark).load(as: TypeMark.self) }
            if found == 0 {
                let mark = TypeMark(describing: type)
                if word.pointee.compareExchange(expected: 0, desired: 1, ordering: .relaxed).exchanged {
                    (place + Place.mark).storeBytes(of: mark, as: TypeMark.self)
                    word.pointee.store(key, ordering: .releasing)
                }
                return mark
            }
            index += 1
        }
        return TypeMark(describing: type)
    }
}
