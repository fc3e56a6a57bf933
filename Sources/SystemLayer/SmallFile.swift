import Glibc

/// The text of a small file such as the kernel's own (at most 64 KiB are read), or nil where it cannot be read.
package func textOfSmallFile(_ path: String) -> String? {
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { return nil }
    let file = FileDescriptor(owning: number)
    return withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 1) { buffer in
        var length = 0
        while length < buffer.count {
            let n = read(file.number, buffer.baseAddress.map { $0 + length }, buffer.count - length)
            if n < 0 && errno == EINTR { continue }
            if n <= 0 { break }
            length += n
        }
        return String(decoding: UnsafeRawBufferPointer(rebasing: buffer[..<length]), as: UTF8.self)
    }
}
