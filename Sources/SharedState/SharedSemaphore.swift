public import BinaryCoding
import Glibc
public import Synchronization
import SystemLayer

/// A number of permits that threads of any processes of a family take and give back.
///
/// Pass it as an argument, or capture it in a `.fork` child. Each release wakes the one thread that has waited longest. Permits belong to nobody: one that a
/// process had taken when it died is not given back.
///
/// ```swift
/// let places = try SharedSemaphore(4)
/// try places.withPermit { … }      // in four processes at once, at most
/// ```
///
/// A call whose errors are not named throws none: it is declared so that one can be told some day.
public final class SharedSemaphore: Codable, @unchecked Sendable, SharedObject, SharedHandleDecodable {
    // Unchecked: the words are only used atomically.
    // The object: the number of permits, and a bit that asks newcomers to let others go first; at 8 the bound; from 64 on who waits.
    private static let boundAt = 8
    private static let queueAt = 64

    /// Somebody has waited long, and been notified in vain. It is advice: that it is set or cleared wrongly costs somebody a nap.
    @inlinable static var isUrgent: UInt64 { 1 << 63 }
    /// From when on it is long, in ns; and for how long a newcomer steps back, which is what a wake-up may take.
    private static let patience: UInt64 = 1_000_000
    private static let nap = 50_000

    private let block: ObjectBlock
    let queue: WaitQueue
    // What the calls that find nobody in their way need, which are inlined into the caller's code.
    @usableFromInline let permits: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let bound: UInt64
    @usableFromInline let arena: Arena
    @usableFromInline let waiting: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let listing: UInt64

    package var handle: UInt64 { UInt64(block.offset) }

    /// Makes a semaphore with `value` permits.
    /// - Parameter bound: the most permits there can be; nil: no limit.
    /// - Throws: ``SharedMemoryError`` when there is no memory for it, `value` is negative, or above `bound`.
    public convenience init(_ value: Int, bound: Int? = nil) throws {
        guard value >= 0 else { throw SharedMemoryError("A SharedSemaphore of \(value) permits cannot be: begin with 0 or more.") }
        if let bound, bound < max(1, value) {
            throw SharedMemoryError(
                "A SharedSemaphore of \(value) permits cannot have a bound of \(bound): give it \(max(1, value)) at least, or none.")
        }
        let block = try ObjectBlock.make(
            .semaphore, elementSize: 0, count: 1, size: Self.queueAt + WaitQueue.size, in: try Arena.current())
        block.payloadWord(Self.boundAt).pointee.store(UInt64(bound ?? .max), ordering: .relaxed)
        self.init(retained: block)
        permits.pointee.store(UInt64(value), ordering: .releasing)
    }

    /// Takes over one hold on `block`.
    private init(retained block: ObjectBlock) {
        self.block = block
        arena = block.arena
        queue = WaitQueue(at: block.offset + ObjectBlock.payload + Self.queueAt, in: arena)
        permits = block.payloadWord(0)
        bound = block.payloadWord(Self.boundAt).pointee.load(ordering: .relaxed)
        waiting = queue.summary
        listing = queue.listing(.notifier)
    }

    deinit { HandleRegistry.release(block) }

    /// How many permits can be taken now. It may have changed before the caller looks at it.
    public var value: Int { Int(permits.pointee.load(ordering: .acquiring) & ~Self.isUrgent) }

    // MARK: Taking

    /// Takes a permit. Blocks while there is none. One compare-and-swap when there is.
    @inlinable @inline(__always)
    public func acquire() throws { if !takeAtOnce() { try acquireSlowly() } }

    @inline(never) @usableFromInline
    func acquireSlowly() throws { _ = try acquire(until: .never) }

    /// Takes a permit, waiting at most `timeout`.
    /// - Returns: whether one was taken.
    public func acquire(timeout: Duration) throws -> Bool { try acquire(until: Deadline(after: timeout)) }

    /// Takes a permit if there is one. Does not block.
    /// - Returns: whether one was taken.
    public func tryAcquire() throws -> Bool { take() != nil }

    /// One attempt, where nobody has asked newcomers to let others go first.
    @inlinable @inline(__always)
    func takeAtOnce() -> Bool {
        let current = permits.pointee.load(ordering: .relaxed)
        return Int64(bitPattern: current) > 0
            && permits.pointee.compareExchange(expected: current, desired: current &- 1, ordering: .acquiringAndReleasing).exchanged
    }

    private func acquire(until deadline: Deadline) throws -> Bool {
        if permits.pointee.load(ordering: .relaxed) & Self.isUrgent != 0, !deadline.hasPassed { letOthersGoFirst() }
        if take() != nil { return true }
        var began: UInt64 = 0
        return try queue.wait(until: deadline) {
            if take() != nil { return () }
            if began == 0 { began = monotonicNow() }
            ask(since: began)
            return nil
        } != nil
    }

    /// Says so when somebody has waited for long.
    private func ask(since began: UInt64) {
        // The clock takes some ten nanoseconds, beside pauses that are longer.
        if monotonicNow() - began > Self.patience { permits.pointee.bitwiseOr(Self.isUrgent, ordering: .relaxed) }
    }

    /// Who gives a permit back and takes the next at once would always be faster than who has to be woken for it.
    private func letOthersGoFirst() {
        var time = timespec(tv_sec: 0, tv_nsec: Self.nap)
        nanosleep(&time, nil)
        permits.pointee.bitwiseAnd(~Self.isUrgent, ordering: .relaxed)
    }

    /// Takes a permit, if there is one.
    func take() -> Void? {
        var current = permits.pointee.load(ordering: .relaxed)
        while current & ~Self.isUrgent > 0 {
            let (exchanged, original) = permits.pointee.weakCompareExchange(
                expected: current, desired: (current & ~Self.isUrgent) - 1, ordering: .acquiringAndReleasing)
            if exchanged { return () }
            current = original
        }
        return nil
    }

    // MARK: Giving back

    /// Gives back a permit, and wakes the thread that has waited longest. Does not block.
    /// - Throws: ``SharedMemoryError`` when that would be more than the bound; then nothing happens.
    @inlinable @inline(__always)
    public func release() throws {
        _ = ThreadRecords.currentToken(in: arena)
        // Should the thread die before it has notified, everybody is notified in its place.
        ThreadRecords.enter(listing)
        let current = permits.pointee.load(ordering: .relaxed)
        guard current & ~Self.isUrgent < bound,
            permits.pointee.compareExchange(expected: current, desired: current &+ 1, ordering: .sequentiallyConsistent).exchanged
        else { return try releaseContended() }
        // As `WaitQueue.notifyAfterOrderedChange` does.
        if waiting.pointee.load(ordering: .sequentiallyConsistent) & 0xffff_ffff != 0 { notifyOne() }
        ThreadRecords.leave(listing)
    }

    @inline(never) @usableFromInline
    func notifyOne() { queue.notifyWaiting(1) }

    /// The same again, from the listing on, for who was overtaken, or has nothing to give back.
    @inline(never) @usableFromInline
    func releaseContended() throws {
        ThreadRecords.leave(listing)
        try release(1)
    }

    /// Gives back `count` permits, and wakes as many threads. Does not block.
    /// - Throws: ``SharedMemoryError`` when that would be more than the bound, or `count` is negative; then nothing happens.
    public func release(_ count: Int) throws {
        guard let added = UInt64(exactly: count) else { throw SharedMemoryError("\(count) permits cannot be released: release 0 or more.") }
        try queue.whileChanging {
            var current = permits.pointee.load(ordering: .relaxed)
            while true {
                // Neither is above Int.max.
                guard current & ~Self.isUrgent + added <= bound else { throw exceeded(current & ~Self.isUrgent, count) }
                let (exchanged, original) = permits.pointee.weakCompareExchange(
                    expected: current, desired: current + added, ordering: .sequentiallyConsistent)
                if exchanged { break }
                current = original
            }
            queue.notifyAfterOrderedChange(count)
        }
    }

    private func exceeded(_ current: UInt64, _ count: Int) -> SharedMemoryError {
        let advice =
            bound == UInt64(Int.max)
            ? "There can be no more than that: release what was acquired, and once."
            : "Release what was acquired, and once; or make it with a higher bound."
        return SharedMemoryError(
            "A SharedSemaphore has \(current) permits and a bound of \(bound), so \(count) cannot be released. \(advice)")
    }

    /// Calls `body` with a permit, which is given back when it returns or throws. Blocks while there is none.
    public func withPermit<R>(_ body: () throws -> R) throws -> R {
        try acquire()
        return try releasing(body)
    }

    /// As ``withPermit(_:)``, if there is a permit within `timeout`.
    /// - Returns: what `body` returns; nil when there was no permit, and `body` was not called.
    public func withPermit<R>(timeout: Duration, _ body: () throws -> R) throws -> R? {
        try acquire(timeout: timeout) ? releasing(body) : nil
    }

    private func releasing<R>(_ body: () throws -> R) throws -> R {
        let result: R
        do { result = try body() } catch {
            try release()
            throw error
        }
        try release()
        return result
    }

    // MARK: Asynchronously

    /// The calls that wait, for asynchronous functions.
    public var async: Async { Async(semaphore: self) }

    /// Waits for permits without blocking a thread of the concurrency pool. When the task is cancelled, a wait ends at once by a `CancellationError`,
    /// without a permit; none is lost. A ``SystemError`` says that no thread can be started.
    public struct Async: Sendable {
        fileprivate let semaphore: SharedSemaphore

        /// As ``SharedSemaphore/acquire()``.
        public func acquire() async throws { _ = try await acquire(until: .never) }

        /// As ``SharedSemaphore/acquire(timeout:)``.
        public func acquire(timeout: Duration) async throws -> Bool { try await acquire(until: Deadline(after: timeout)) }

        /// As ``SharedSemaphore/withPermit(_:)``.
        public func withPermit<R>(isolation: isolated (any Actor)? = #isolation, _ body: () throws -> R) async throws -> R {
            try await acquire()
            return try semaphore.releasing(body)
        }

        /// As ``SharedSemaphore/withPermit(timeout:_:)``.
        public func withPermit<R>(
            timeout: Duration, isolation: isolated (any Actor)? = #isolation, _ body: () throws -> R
        ) async throws -> R? {
            try await acquire(timeout: timeout) ? semaphore.releasing(body) : nil
        }

        private func acquire(until deadline: Deadline) async throws -> Bool {
            let began = monotonicNow()
            return try await semaphore.queue.waitAsynchronously(until: deadline) { [semaphore] in
                if semaphore.take() != nil { return () }
                semaphore.ask(since: began)
                return nil
            } != nil
        }
    }

    // MARK: Travelling

    /// Finds the semaphore that another process of the family has sent. Throws a `DecodingError` elsewhere.
    public convenience init(from decoder: any Decoder) throws {
        self.init(retained: try ObjectBlock.decode(.semaphore, of: Self.self, from: decoder))
    }

    package static func find(handle: UInt64, isHeld: Bool) -> Self? {
        ObjectBlock.retain(.semaphore, at: handle, isHeld: isHeld).map { Self(retained: $0) }
    }

    /// Writes the semaphore's place in shared memory. Throws an `EncodingError` for anything but a message to a process of the family.
    public func encode(to encoder: any Encoder) throws { try encodeHandle(to: encoder) }
}
