import CMultiprocessing
import Glibc

/// Memory that travels as a descriptor: an anonymous file whose size is fixed before anybody else sees it, so that no reader can be cut off.
///
/// Its owner unmaps and closes it by dropping it.
package final class SealedMemory: @unchecked Sendable {
    // Unchecked: what changes does so in `resize` and `closeDescriptor` alone, before the memory is anybody else's.
    /// -1 once it is closed.
    package private(set) var number: Int32
    package private(set) var bytes: UnsafeMutableRawBufferPointer
    private let label: String

    /// Takes memory for `size` bytes, which are zero.
    package init(size: Int, label: String) throws(SystemError) {
        self.label = label
        number = try check(mp_sealed_create(label, size), "taking \(size) bytes of memory to share")
        do { bytes = try Self.map(number, size) } catch {
            close(number)
            throw error
        }
    }

    /// Takes over the descriptor `number` of memory that somebody else has made and fixed, and maps it.
    /// - Throws: EPERM when its size is not fixed.
    package init(received number: Int32) throws(SystemError) {
        self.number = number
        label = ""
        do {
            let size = mp_sealed_length(number)
            try check(Int32(clamping: size), "looking at memory that was received")
            bytes = try Self.map(number, Int(size))
        } catch {
            close(number)
            throw error
        }
    }

    private static func map(_ number: Int32, _ size: Int) throws(SystemError) -> UnsafeMutableRawBufferPointer {
        if size == 0 { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        // Filled in at once: the memory is there, and a trap for each page would cost more than the call.
        let address = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED | Int32(MAP_POPULATE), number, 0)
        guard let address, address != MAP_FAILED else { throw SystemError(code: errno, call: "mapping \(size) bytes") }
        return UnsafeMutableRawBufferPointer(start: address, count: size)
    }

    /// Makes it larger or smaller. It may be elsewhere afterwards.
    package func resize(to size: Int) throws(SystemError) {
        try check(mp_sealed_resize(number, size), "taking \(size) bytes of memory to share")
        let moved = try Self.map(number, size)
        unmap()
        bytes = moved
    }

    /// Fixes its size, at `size` bytes, for ever. The mapping of its maker keeps the size it has.
    package func fix(at size: Int) throws(SystemError) {
        if size != bytes.count { try check(mp_sealed_resize(number, size), "giving back memory") }
        try check(mp_sealed_fix(number), "fixing the size of memory to share")
    }

    /// Closes the descriptor; the memory stays. Before others use it, and once.
    package func closeDescriptor() {
        close(number)
        number = -1
    }

    private func unmap() { if let start = bytes.baseAddress { munmap(start, bytes.count) } }

    deinit {
        unmap()
        if number >= 0 { close(number) }
    }
}
