/// Results that come in any order, and the first error in that of the inputs.
@usableFromInline
final class MappedResults<R> {
    @usableFromInline @exclusivity(unchecked) var values: UnsafeMutablePointer<R>
    @usableFromInline @exclusivity(unchecked) var isThere: UnsafeMutablePointer<Bool>
    @usableFromInline @exclusivity(unchecked) var capacity: Int
    /// How many inputs there have been.
    @usableFromInline @exclusivity(unchecked) var count = 0
    @usableFromInline var failure: (number: Int, error: any Error)?

    @inlinable
    init(reserving count: Int) {
        capacity = max(64, count)
        values = .allocate(capacity: capacity)
        isThere = .allocate(capacity: capacity)
    }

    deinit {
        for number in 0..<count where isThere[number] { (values + number).deinitialize(count: 1) }
        values.deallocate()
        isThere.deallocate()
    }

    /// Counts another input.
    @inlinable
    func add() {
        if count == capacity { grow() }
        (isThere + count).initialize(to: false)
        count += 1
    }

    @inlinable @inline(never)
    func grow() {
        let (larger, flags) = (
            UnsafeMutablePointer<R>.allocate(capacity: 2 * capacity), UnsafeMutablePointer<Bool>.allocate(capacity: 2 * capacity)
        )
        for number in 0..<count where isThere[number] { (larger + number).moveInitialize(from: values + number, count: 1) }
        flags.moveInitialize(from: isThere, count: count)
        values.deallocate()
        isThere.deallocate()
        (values, isThere, capacity) = (larger, flags, 2 * capacity)
    }

    @inlinable
    func set(_ number: Int, _ value: consuming R) {
        (values + number).initialize(to: value)
        isThere[number] = true
    }

    @usableFromInline
    func fail(_ number: Int, _ error: any Error) {
        if let failure, failure.number < number { return }
        failure = (number, error)
    }

    /// The results, which this object then no longer has.
    @inlinable
    func all() throws -> [R] {
        if let failure { throw failure.error }
        for number in 0..<count { precondition(isThere[number], "an input without an outcome") }
        let count = count
        self.count = 0
        return [R](unsafeUninitializedCapacity: count) { memory, initialized in
            if let base = memory.baseAddress { base.moveInitialize(from: values, count: count) }
            initialized = count
        }
    }
}
