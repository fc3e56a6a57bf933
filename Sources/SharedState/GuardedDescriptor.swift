import CMultiprocessing
import Glibc
import Synchronization
import SystemLayer

/// An open descriptor that several threads use, and that one of them may close while others wait for it: they are told, and it is closed when the last has left it.
/// So its number is never another file's while anybody works with it.
package final class GuardedDescriptor: @unchecked Sendable {
    // Unchecked: what changes is atomic, or guarded by `DescriptorService.lock`.
    package let number: Int32
    /// By which it was taken from the depot; 0 for one that was not.
    let ticket: UInt64
    /// How many use it, and whether it is closed for others.
    private let state = Atomic<UInt64>(0)
    private static let closed: UInt64 = 1 << 63
    /// An eventfd that rings when it is closed, for those who sleep on both: made by the first of them. -1: none yet.
    private let bell = Atomic<Int32>(-1)

    /// Those that are open, by number.
    private nonisolated(unsafe) static var open: [Int32: Unmanaged<GuardedDescriptor>] = [:]  // guarded by `DescriptorService.lock`

    /// Takes over `number`, which nobody else closes from here on.
    package init(owning number: Int32, ticket: UInt64 = 0) {
        self.number = number
        self.ticket = ticket
        DescriptorService.lock.withLock { Self.open[number] = .passUnretained(self) }
    }

    deinit {
        // Nobody uses it: users hold it.
        if !isClosed { closeForGood() }
        if ticket != 0 { DescriptorDepot.forget(ticket) }
    }

    package var isClosed: Bool { state.load(ordering: .sequentiallyConsistent) & Self.closed != 0 }

    // MARK: Using it

    /// Begins to use it, until ``leave()``.
    /// - Returns: false when it is closed.
    package func enter() -> Bool {
        var current = state.load(ordering: .relaxed)
        while current & Self.closed == 0 {
            let (exchanged, now) = state.compareExchange(expected: current, desired: current + 1, ordering: .sequentiallyConsistent)
            if exchanged { return true }
            current = now
        }
        return false
    }

    package func leave() {
        if state.wrappingSubtract(1, ordering: .sequentiallyConsistent).newValue == Self.closed { closeForGood() }
    }

    /// Waits until it is ready; the caller uses it.
    /// - Returns: false when `deadline` has passed, or it was closed for others meanwhile: see ``isClosed``.
    func wait(for direction: LocalSocket.Direction, until deadline: Deadline) throws -> Bool {
        if deadline.hasPassed { return false }
        let bell = ensureBell()
        // After the bell is there for a closer to see.
        if isClosed { return false }
        return try LocalSocket.wait(number, for: direction, bell: bell, until: deadline)
    }

    /// As ``wait(for:until:)``, without holding up a thread.
    func waitAsynchronously(for direction: LocalSocket.Direction, until deadline: Deadline) async throws -> Bool {
        if deadline.hasPassed { return false }
        return try await DescriptorService.wait(number, for: direction, until: deadline) { [self] in isClosed }
    }

    /// -1 where there can be none: then a wait does not hear of a close.
    private func ensureBell() -> Int32 {
        let known = bell.load(ordering: .sequentiallyConsistent)
        if known >= 0 { return known }
        let new = mp_event_create()
        guard new >= 0 else { return -1 }
        let (exchanged, original) = bell.compareExchange(expected: -1, desired: new, ordering: .sequentiallyConsistent)
        if !exchanged { Glibc.close(new) }
        return exchanged ? new : original
    }

    // MARK: Closing it

    /// Closes it for everybody. Those who wait for it are told.
    /// - Returns: false when that has been done before.
    @discardableResult
    package func close() -> Bool {
        // As a user: else the last one might close the bell before it rings.
        guard enter() else { return false }
        let isFirst = state.bitwiseOr(Self.closed, ordering: .sequentiallyConsistent).oldValue & Self.closed == 0
        if isFirst {
            let bell = bell.load(ordering: .sequentiallyConsistent)
            var one: UInt64 = 1
            if bell >= 0 { _ = write(bell, &one, 8) }
            DescriptorService.recall(number)
        }
        leave()
        return isFirst
    }

    private func closeForGood() {
        DescriptorService.lock.withLock {
            if Self.open[number]?.toOpaque() == Unmanaged.passUnretained(self).toOpaque() { Self.open[number] = nil }
            // Under the lock: a child forked in between would have it, and not know of it.
            Glibc.close(number)
        }
        let bell = bell.exchange(-1, ordering: .relaxed)
        if bell >= 0 { Glibc.close(bell) }
    }

    /// In a forked child, with the lock held: those who used descriptors are threads of its parent's, who also still looks at the bells.
    static func forgetAfterFork() {
        for descriptor in open.values.map({ $0.takeUnretainedValue() }) {
            let bell = descriptor.bell.exchange(-1, ordering: .relaxed)
            if bell >= 0 { Glibc.close(bell) }
            let isClosing = descriptor.isClosed
            descriptor.state.store(isClosing ? closed : 0, ordering: .relaxed)
            // The parent's last user would have done it.
            if isClosing { Glibc.close(descriptor.number) }
        }
        open = open.filter { !$0.value.takeUnretainedValue().isClosed }
    }
}
