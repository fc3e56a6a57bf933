public import BinaryCoding
import Synchronization
import SystemLayer

/// Something that happens, or has not happened yet, for which threads of any processes of a family wait.
///
/// Pass it as an argument, or capture it in a `.fork` child. Who waits when it is set returns, even if it is cleared at once.
///
/// A call whose errors are not named throws none: it is declared so that one can be told some day.
public final class SharedEvent: Codable, Sendable, SharedObject, SharedHandleDecodable {
    // The object: bit 0: whether it is set; bits 1–63: how often it has been. From 64 on who waits.
    private static let queueAt = 64

    private let block: ObjectBlock
    private let queue: WaitQueue

    package var handle: UInt64 { UInt64(block.offset) }

    /// Makes an event that is not set.
    /// - Throws: ``SharedMemoryError`` when there is no memory for it.
    public convenience init() throws {
        self.init(
            retained: try ObjectBlock.make(
                .event, elementSize: 0, count: 1, size: Self.queueAt + WaitQueue.size, in: try Arena.current()))
    }

    /// Takes over one hold on `block`.
    private init(retained block: ObjectBlock) {
        self.block = block
        queue = WaitQueue(at: block.offset + ObjectBlock.payload + Self.queueAt, in: block.arena)
    }

    deinit { HandleRegistry.release(block) }

    private var state: ObjectWord { block.payloadWord(0) }

    /// Whether it is set now.
    public var isSet: Bool { state.pointee.load(ordering: .acquiring) & 1 != 0 }

    // MARK: Setting

    /// Sets it, and wakes all that wait. What came before in this thread is seen by those who find it set. Does not block; time grows with who waits.
    public func set() throws {
        queue.whileChanging {
            var current = state.pointee.load(ordering: .acquiring)
            // Who has set it wakes those who wait, or others do in its stead.
            while current & 1 == 0 {
                let (exchanged, original) = state.pointee.compareExchange(
                    expected: current, desired: current &+ 2 | 1, ordering: .acquiringAndReleasing)
                if exchanged { return queue.notifyAll() }
                current = original
            }
        }
    }

    /// Makes it one that has not happened yet. Does not block.
    public func clear() throws { state.pointee.bitwiseAnd(~1, ordering: .acquiringAndReleasing) }

    // MARK: Waiting

    /// Waits until it is set; returns at once when it is.
    public func wait() throws { _ = try wait(until: .never) }

    /// Waits until it is set, at most `timeout`.
    /// - Returns: whether it was set.
    public func wait(timeout: Duration) throws -> Bool { try wait(until: Deadline(after: timeout)) }

    private func wait(until deadline: Deadline) throws -> Bool {
        let hasHappened = awaited
        return try queue.wait(until: deadline) { hasHappened() } != nil
    }

    /// What a wait that begins now waits for: that it is set, or has been since, though it may have been cleared again.
    private var awaited: @Sendable () -> Void? {
        let before = state.pointee.load(ordering: .acquiring)
        return {
            let now = self.state.pointee.load(ordering: .acquiring)
            return now & 1 != 0 || now != before ? () : nil
        }
    }

    // MARK: Asynchronously

    /// The calls that wait, for asynchronous functions.
    public var async: Async { Async(event: self) }

    /// Waits for an event without blocking a thread of the concurrency pool. When the task is cancelled, a wait ends at once by a `CancellationError`.
    /// A ``SystemError`` says that no thread can be started.
    public struct Async: Sendable {
        fileprivate let event: SharedEvent

        /// As ``SharedEvent/wait()``.
        public func wait() async throws { _ = try await wait(until: .never) }

        /// As ``SharedEvent/wait(timeout:)``.
        public func wait(timeout: Duration) async throws -> Bool { try await wait(until: Deadline(after: timeout)) }

        private func wait(until deadline: Deadline) async throws -> Bool {
            try await event.queue.waitAsynchronously(until: deadline, event.awaited) != nil
        }
    }

    // MARK: Travelling

    /// Finds the event that another process of the family has sent. Throws a `DecodingError` elsewhere.
    public convenience init(from decoder: any Decoder) throws {
        self.init(retained: try ObjectBlock.decode(.event, of: Self.self, from: decoder))
    }

    package static func find(handle: UInt64, isHeld: Bool) -> Self? {
        ObjectBlock.retain(.event, at: handle, isHeld: isHeld).map { Self(retained: $0) }
    }

    /// Writes the event's place in shared memory. Throws an `EncodingError` for anything but a message to a process of the family.
    public func encode(to encoder: any Encoder) throws { try encodeHandle(to: encoder) }
}
