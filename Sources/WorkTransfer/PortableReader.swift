import BinaryCoding
import CMultiprocessing

/// Takes apart what ``PortableWriter`` wrote, perhaps in another process. The bytes may be anything: what is damaged throws `cannotDecode`, and every address
/// that comes out lies in a loaded image, with the protection that was asked for.
struct PortableReader {
    private var images: [mp_image] = []
    private var reader: ByteReader

    /// - Parameter bytes: borrowed; must stay valid and unchanged while the reader is used.
    init(_ bytes: UnsafeRawBufferPointer) throws(TransferError) {
        reader = ByteReader(bytes)
        let magic = try integer(UInt32.self)
        let length = try integer(UInt32.self)
        let checksum = try integer(UInt64.self)
        guard magic == PortableWriter.magic, length == reader.remaining,
            checksum == PortableWriter.checksum(bytes.dropFirst(reader.offset))
        else { throw Self.damaged }
        for _ in 0..<(try integer(UInt8.self)) {
            let fingerprint = try integer(UInt64.self)
            let nameBytes = try take(Int(try integer(UInt16.self)))
            guard !nameBytes.contains(0) else { throw Self.damaged }
            let name = String(decoding: nameBytes, as: UTF8.self)
            var image = mp_image()
            guard mp_image_named(name, fingerprint, &image) else {
                throw .cannotDecode(
                    name.isEmpty
                        ? "the function was described by another executable than the one this worker runs; host and worker must be the same build"
                        : "the function needs the library \(name), which is not loaded in this worker; link the program with it, so that it is "
                            + "there from the start, rather than opening it at run time")
            }
            images.append(image)
        }
    }

    static var damaged: TransferError { .cannotDecode("the description of a function is damaged; host and worker must be the same build") }

    var isAtEnd: Bool { reader.remaining == 0 }

    mutating func take(_ count: Int) throws(TransferError) -> UnsafeRawBufferPointer {
        do throws(EndOfBytes) { return try reader.take(count) } catch { throw Self.damaged }
    }

    mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type = T.self) throws(TransferError) -> T {
        do throws(EndOfBytes) { return T(littleEndian: try reader.read(T.self)) } catch { throw Self.damaged }
    }

    /// The address of `length` bytes of an image in this process.
    mutating func address(length: Int, executable: Bool = false) throws(TransferError) -> UnsafeRawPointer {
        let index = Int(try integer(UInt8.self))
        let offset = try integer(UInt64.self)
        guard index < images.count else { throw Self.damaged }
        let address = images[index].base &+ UInt(offset)
        var image = mp_image()
        let protection = Int32(executable ? MP_IMAGE_EXECUTABLE : MP_IMAGE_READABLE)
        guard mp_image_containing(address, length, protection, &image), image.base == images[index].base,
            let pointer = UnsafeRawPointer(bitPattern: address)
        else { throw Self.damaged }
        return pointer
    }
}
