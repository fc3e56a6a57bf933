import BinaryCoding
import Glibc
import SystemLayer

/// An open descriptor that can be an argument, a result, or part of a message: its receiver gets a copy, which stands for the same open file.
///
/// Its owner closes it by ``close()``, or by dropping it. On its way it keeps the file open.
public final class SharedDescriptor: Codable, Sendable {
    private let descriptor: GuardedDescriptor

    private init(_ descriptor: GuardedDescriptor) { self.descriptor = descriptor }

    /// Makes a copy (close-on-exec) of the open descriptor `number`, which stays the caller's.
    /// - Throws: `SystemError` when it is not open, or the process has no descriptors left.
    public convenience init(duplicating number: Int32) throws {
        self.init(GuardedDescriptor(owning: try SharedState.duplicate(number)))
    }

    /// Takes over the open descriptor `number`: nobody else closes it from here on.
    public convenience init(owning number: Int32) { self.init(GuardedDescriptor(owning: number)) }

    /// Calls `body` with its number, which stays open and its own until `body` returns.
    /// - Throws: ``ConnectionError/closed`` when it has been closed, and what `body` throws.
    public func withNumber<R>(_ body: (Int32) throws -> R) throws -> R {
        guard descriptor.enter() else { throw ConnectionError.closed }
        defer { descriptor.leave() }
        return try body(descriptor.number)
    }

    /// A copy of it, which is the caller's to close.
    /// - Throws: ``ConnectionError/closed``; `SystemError` when the process has no descriptors left.
    public func duplicate() throws -> Int32 { try withNumber { try SharedState.duplicate($0) } }

    /// Closes it in this process, when the last who is using it has done so. Closing it again does nothing.
    public func close() { descriptor.close() }

    /// Takes over the copy that another process of the family has sent. Throws a `DecodingError` elsewhere.
    public convenience init(from decoder: any Decoder) throws {
        self.init(try DescriptorTransfer.decode(.other, for: Self.self, from: decoder))
    }

    /// Sends a copy along with a message or a task. Throws an `EncodingError` for anything but a process of the family, and ``ConnectionError/closed``.
    public func encode(to encoder: any Encoder) throws { try DescriptorTransfer.encode(descriptor, .other, of: self, to: encoder) }
}

/// A copy (close-on-exec) of an open descriptor.
func duplicate(_ number: Int32) throws(SystemError) -> Int32 {
    let copy = fcntl(number, F_DUPFD_CLOEXEC, 0)
    if copy < 0 { throw SystemError(code: errno, call: "copying descriptor \(number)") }
    return copy
}
