import CMultiprocessing

/// Bytes that mean the same in every process that runs this executable, wherever that is loaded: an address goes as an image and an offset in it.
///
/// The form is in README.md. ``PortableReader`` is the counterpart.
struct PortableWriter {
    static let magic: UInt32 = 0x3146_504D

    private var images: [mp_image] = []
    private(set) var body: [UInt8] = []

    mutating func append<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { body.append(contentsOf: $0) }
    }

    mutating func append(contentsOf bytes: some Sequence<UInt8>) {
        body.append(contentsOf: bytes)
    }

    /// Appends the place of `length` bytes of an image. Throws `cannotEncode` when they belong to none (`what` says what they are), as memory
    /// from an allocator does.
    mutating func append(address: UnsafeRawPointer, length: Int, executable: Bool = false, what: @autoclosure () -> String) throws(TransferError) {
        var image = mp_image()
        let protection = Int32(executable ? MP_IMAGE_EXECUTABLE : MP_IMAGE_READABLE)
        guard mp_image_containing(UInt(bitPattern: address), length, protection, &image) else {
            throw .cannotEncode(
                "\(what()) lies outside the executable and its libraries (it was made at run time), so that no other process has it; "
                    + "use a function or a type that is written in a source file")
        }
        append(index(of: image))
        append(UInt64(UInt(bitPattern: address) &- image.base))
    }

    private mutating func index(of image: mp_image) -> UInt8 {
        if let known = images.firstIndex(where: { $0.base == image.base }) { return UInt8(known) }
        // A reference names a handful of images; that many do not fit into one function's type.
        precondition(images.count < 255, "a function that refers to more than 255 libraries")
        images.append(image)
        return UInt8(images.count - 1)
    }

    /// All of it: what was appended, behind the images that it refers to, behind a checksum.
    func finished() -> [UInt8] {
        var content = PortableWriter()
        content.append(UInt8(images.count))
        for image in images {
            let name = UnsafeRawBufferPointer(start: image.name, count: image.name.map { strlen($0) } ?? 0)
            content.append(image.fingerprint)
            content.append(UInt16(clamping: name.count))
            content.append(contentsOf: name.prefix(Int(UInt16.max)))
        }
        var whole = PortableWriter()
        whole.append(Self.magic)
        whole.append(UInt32(content.body.count + body.count))
        whole.append(Self.checksum(content.body, body))
        return whole.body + content.body + body
    }

    /// FNV-1a. Tells damage, not malice: whoever can write here can as well write to the worker's memory.
    static func checksum(_ parts: any Sequence<UInt8>...) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ bytes: some Sequence<UInt8>) { for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 } }
        for part in parts { add(part) }
        return hash
    }

    private func strlen(_ text: UnsafePointer<CChar>) -> Int {
        var length = 0
        while text[length] != 0 { length += 1 }
        return length
    }
}
