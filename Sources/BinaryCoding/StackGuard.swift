#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

// The C library's module hides this function, as it is not in POSIX. Two words in, one out: passed alike in C and in Swift.
@_silgen_name("pthread_getattr_np")
private func attributes(of thread: pthread_t, _ attributes: UnsafeMutablePointer<pthread_attr_t>) -> CInt

/// Ends a recursion before the stack does.
///
/// Values nest through code of the user's, whose frames may have any size, so counting levels alone is not enough on a thread with a small
/// stack; and asking the system where the stack ends costs microseconds, so it is asked only once a coding has used a fair part of it.
struct StackGuard {
    /// The most values and nested containers inside each other.
    static let levelLimit = 1000
    /// How much stack is used before the limits are looked up.
    private static let unchecked: UInt = 48 << 10

    private let start: UInt
    private var floor: UInt?

    init() { start = Self.here() }

    /// Why a level further in is not possible, or nil where it is.
    @inline(__always)
    mutating func refusal(atLevel level: Int) -> String? {
        if level > Self.levelLimit { return "values are nested more than \(Self.levelLimit) deep; flatten them, for example into an array" }
        let here = Self.here()
        if start &- here < Self.unchecked || here > start { return nil }
        return refusalByStack(here)
    }

    @inline(never)
    private mutating func refusalByStack(_ here: UInt) -> String? {
        let floor = self.floor ?? Self.stackFloor(around: here)
        self.floor = floor
        return here > floor
            ? nil : "values are nested too deep for the stack of this thread; flatten them, or use a thread with a larger stack"
    }

    /// Roughly where the stack ends now.
    @inline(__always)
    private static func here() -> UInt {
        withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { UInt(bitPattern: $0.baseAddress) }
    }

    /// The address that must not be passed: the end of the stack, and room above it for what does not ask. 0 where it is not known.
    private static func stackFloor(around here: UInt) -> UInt {
        var found = pthread_attr_t()
        guard attributes(of: pthread_self(), &found) == 0 else { return 0 }
        defer { pthread_attr_destroy(&found) }
        var lowest: UnsafeMutableRawPointer?
        var size = 0
        guard pthread_attr_getstack(&found, &lowest, &size) == 0 else { return 0 }
        let low = UInt(bitPattern: lowest)
        // Not on that stack at all, as in a sanitizer's: the levels must do.
        guard here >= low, here - low < UInt(size) else { return 0 }
        return low + min(128 << 10, UInt(size) / 4)
    }
}
