import Glibc

/// Owns an open descriptor and closes it exactly once.
package struct FileDescriptor: ~Copyable, Sendable {
    package let number: Int32

    /// Takes over `number`: nobody else closes it from here on.
    package init(owning number: Int32) { self.number = number }

    deinit { _ = close(number) }
}
