import BinaryCoding
import Synchronization
import SystemLayer

/// Lets threads that hold a lock wait until another, which holds it in its turn, tells them that what the lock protects has changed.
///
/// Pass it as an argument, its lock travels with it; or capture it in a `.fork` child. A wait may end without having been notified, after a death: look at
/// what is waited for again, which `wait(until:)` does.
///
/// ```swift
/// try lock.withLock {
///     try condition.wait(until: { !items.isEmpty })
///     …
/// }
/// ```
public final class SharedCondition: Codable, Sendable {
    /// The lock that protects what is waited for. The same for all handles; taking any of its handles is taking it.
    public let lock: SharedLock
    private let core: ConditionCore

    /// Makes a condition of what `lock`, of any kind, protects.
    /// - Throws: ``SharedMemoryError`` when there is no memory for it.
    public init(lock: SharedLock) throws {
        self.lock = lock
        core = try ConditionCore(of: lock)
    }

    // MARK: Waiting

    /// Releases the lock, waits to be notified, and takes it again. Who notifies after the lock was released finds this thread waiting.
    /// - Throws: ``SharedMemoryError`` when the calling thread does not hold the lock, or 504 threads wait already; then nothing has happened. ``OwnerDied``, with the
    ///   lock held, when the lock's last owner has died meanwhile.
    public func wait(fileID: StaticString = #fileID, line: UInt = #line) throws { _ = try wait(until: .never, fileID, line) }

    /// As ``wait(fileID:line:)``, but takes the lock again after `timeout` at the latest, for which it may have to wait, too.
    /// - Returns: whether it was notified.
    public func wait(timeout: Duration, fileID: StaticString = #fileID, line: UInt = #line) throws -> Bool {
        try wait(until: Deadline(after: timeout), fileID, line)
    }

    /// Waits, as ``wait(fileID:line:)`` does, as long as `condition` is false. It is called under the lock, at first at once.
    /// - Throws: what `condition` throws; and as ``wait(fileID:line:)``.
    public func wait(until condition: () throws -> Bool, fileID: StaticString = #fileID, line: UInt = #line) throws {
        while try !condition() { _ = try wait(until: .never, fileID, line) }
    }

    /// Waits, as ``wait(fileID:line:)`` does, as long as `condition` is false, at most `timeout`.
    /// - Returns: whether it has come to hold.
    /// - Throws: what `condition` throws; and as ``wait(fileID:line:)``.
    public func wait(
        timeout: Duration, until condition: () throws -> Bool, fileID: StaticString = #fileID, line: UInt = #line
    ) throws -> Bool {
        let deadline = Deadline(after: timeout)
        while try !condition() {
            if try !wait(until: deadline, fileID, line) { return try condition() }
        }
        return true
    }

    // For protocols that ask for exactly these, and uses as function values.

    /// As ``wait(fileID:line:)``.
    @_disfavoredOverload
    public func wait() throws { try wait(fileID: #fileID, line: #line) }

    /// As ``wait(timeout:fileID:line:)``.
    @_disfavoredOverload
    public func wait(timeout: Duration) throws -> Bool { try wait(timeout: timeout, fileID: #fileID, line: #line) }

    /// - Parameters:
    ///   - fileID: where the lock is taken again, for its profile.
    private func wait(until deadline: Deadline, _ fileID: StaticString, _ line: UInt) throws -> Bool {
        try requireLock("wait")
        // Before the lock is released, which lets a notifier in.
        guard let waiter = core.queue.enter() else {
            throw SharedMemoryError(
                "\(WaitQueue.capacity) threads wait for a SharedCondition already, which is the most there can be. Use several conditions, or fewer threads."
            )
        }
        do { try lock.unlock() } catch {
            waiter.leave(passingOn: true)
            throw error
        }
        _ = waiter.sleep(until: deadline)
        do { try lock.lock(fileID: fileID, line: line) } catch {
            // The caller may not come to look at what has changed.
            waiter.leave(passingOn: true)
            throw error
        }
        // Only now: should the thread die before it has the lock, another is notified in its place.
        return waiter.leave(passingOn: false)
    }

    private func requireLock(_ call: String) throws {
        guard lock.isHeldByCaller else {
            throw SharedMemoryError(
                "\(call)() was called on a SharedCondition by a thread that does not hold its lock. Call it within lock.withLock { … }.")
        }
    }

    // MARK: Notifying

    /// Wakes the `count` threads that have waited longest, or as many as there are; they go on when they get the lock. Does not block.
    /// - Throws: ``SharedMemoryError`` when the calling thread does not hold the lock, or `count` is negative; then nothing happens.
    public func notify(_ count: Int = 1) throws {
        try requireLock("notify")
        guard count >= 0 else { throw SharedMemoryError("\(count) threads cannot be notified: notify 0 or more.") }
        core.queue.whileChanging { core.queue.notify(count) }
    }

    /// Wakes all threads that wait; they go on one after the other, as they get the lock. Does not block.
    /// - Throws: ``SharedMemoryError`` when the calling thread does not hold the lock; then nothing happens.
    public func notifyAll() throws {
        try requireLock("notifyAll")
        core.queue.whileChanging { core.queue.notifyAll() }
    }

    // MARK: Asynchronously

    /// The call that waits, for asynchronous functions.
    public var async: Async { Async(condition: self) }

    /// Waits for a condition without blocking a thread of the concurrency pool: one thread waits for all tasks of the process that wait for the same condition.
    public struct Async: Sendable {
        fileprivate let condition: SharedCondition

        /// Takes the lock, waits as long as `holds`, which is called under the lock, is false, and calls `body` under the same lock. When the task is cancelled
        /// before `body` is called, it ends at once.
        ///
        /// Both are called in the task at first, then on the thread that waits, after each notification, however many it was for, and after none: a lock's owner is a
        /// thread, and an asynchronous function may go on in another after each `await`. They hold up the other tasks that wait, so let them not wait
        /// themselves; that thread has a stack of 512 KiB.
        /// - Throws: `CancellationError` when the task is cancelled; what the two throw; ``OwnerDied`` when the lock's last owner has died holding it. The lock is
        ///   released in each case.
        public func withLock<R: Sendable>(
            when holds: @escaping @Sendable () throws -> Bool, _ body: @escaping @Sendable () throws -> R, fileID: StaticString = #fileID,
            line: UInt = #line
        ) async throws -> R {
            while true { if let result = try await withLock(until: .never, CallSite(fileID, line), holds, body) { return result } }
        }

        /// As ``withLock(when:_:fileID:line:)``, if it comes to that within `timeout`. Where it does, it takes as long as `body` does.
        /// - Returns: what `body` returns; nil when `holds` was not true in time, or another had the lock, and `body` was not called.
        public func withLock<R: Sendable>(
            timeout: Duration, when holds: @escaping @Sendable () throws -> Bool, _ body: @escaping @Sendable () throws -> R,
            fileID: StaticString = #fileID, line: UInt = #line
        ) async throws -> R? {
            try await withLock(until: Deadline(after: timeout), CallSite(fileID, line), holds, body)
        }

        private func withLock<R: Sendable>(
            until deadline: Deadline, _ site: CallSite, _ holds: @escaping @Sendable () throws -> Bool,
            _ body: @escaping @Sendable () throws -> R
        ) async throws -> R? {
            try await condition.core.queue.waitAsynchronously(until: deadline, under: condition.lock, at: site) { [condition] in
                // The queue is the condition's, which has to last.
                try withExtendedLifetime(condition) { try holds() ? body() : nil }
            }
        }
    }

    // MARK: Travelling

    private enum CodingKeys: String, CodingKey { case lock, core }

    /// Finds the condition, and its lock, that another process of the family has sent. Throws a `DecodingError` elsewhere.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        lock = try container.decode(SharedLock.self, forKey: .lock)
        core = try container.decode(ConditionCore.self, forKey: .core)
        guard core.lock == lock.handle else {
            throw handleError(Self.self, decoder, "A SharedCondition came with another lock than its own.")
        }
    }

    /// Writes the condition's and its lock's places in shared memory. Throws an `EncodingError` for anything but a message to a process of the family.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(lock, forKey: .lock)
        try container.encode(core, forKey: .core)
    }
}

/// What is a condition's own.
private final class ConditionCore: Codable, Sendable, SharedObject, SharedHandleDecodable {
    // The object: the handle of the lock; from 64 on who waits.
    private static let queueAt = 64

    private let block: ObjectBlock
    let queue: WaitQueue

    var handle: UInt64 { UInt64(block.offset) }
    var lock: UInt64 { block.payloadWord(0).pointee.load(ordering: .relaxed) }

    convenience init(of lock: SharedLock) throws {
        let block = try ObjectBlock.make(.condition, elementSize: 0, count: 1, size: Self.queueAt + WaitQueue.size, in: try Arena.current())
        self.init(retained: block)
        block.payloadWord(0).pointee.store(lock.handle, ordering: .releasing)
    }

    /// Takes over one hold on `block`.
    private init(retained block: ObjectBlock) {
        self.block = block
        queue = WaitQueue(at: block.offset + ObjectBlock.payload + Self.queueAt, in: block.arena)
    }

    deinit { HandleRegistry.release(block) }

    convenience init(from decoder: any Decoder) throws {
        self.init(retained: try ObjectBlock.decode(.condition, of: Self.self, from: decoder))
    }

    static func find(handle: UInt64, isHeld: Bool) -> Self? {
        ObjectBlock.retain(.condition, at: handle, isHeld: isHeld).map { Self(retained: $0) }
    }

    func encode(to encoder: any Encoder) throws { try encodeHandle(to: encoder) }
}
