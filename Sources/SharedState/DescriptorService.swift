import Glibc
package import SystemLayer

/// What is to be done once a descriptor is ready, or a time has come.
package final class DescriptorWatch: @unchecked Sendable {
    // Unchecked: `standing` is guarded by `DescriptorService.lock`.
    package enum Outcome: Sendable { case ready, timedOut, cancelled }
    fileprivate enum Standing { case new, watched, ended }

    /// -1: only the time counts.
    let number: Int32
    let direction: LocalSocket.Direction
    let deadline: Deadline
    /// Whether it stays after its descriptor was ready.
    let repeats: Bool
    /// Whether the descriptor is the handler's alone, which closes it.
    let isOwned: Bool
    /// Called on the service's thread, or by who cancels, without the lock: it must be quick.
    let handler: @Sendable (Outcome) -> Void
    fileprivate var standing = Standing.new

    package init(
        _ number: Int32, for direction: LocalSocket.Direction = .reading, until deadline: Deadline = .never, repeats: Bool = false,
        isOwned: Bool = false, _ handler: @escaping @Sendable (Outcome) -> Void
    ) {
        self.number = number
        self.direction = direction
        self.deadline = deadline
        self.repeats = repeats
        self.isOwned = isOwned
        self.handler = handler
    }
}

/// The one thread of a process that waits for descriptors on behalf of others: of asynchronous calls, of the depot, of segments' names. Started when it is first
/// needed, and there for as long as the process.
package enum DescriptorService {
    /// Guards all that this room knows of descriptors. Held across forks.
    static let lock = HostLock()

    // All guarded by `lock`.
    private nonisolated(unsafe) static var watches: [DescriptorWatch] = []
    private nonisolated(unsafe) static var wakeUp: WakeUp?

    // MARK: For any thread

    /// Begins to watch. A watch that was cancelled before ends at once.
    package static func add(_ watch: DescriptorWatch) throws {
        let isLate = try lock.withLock {
            if watch.standing == .ended { return true }
            try start().signal()
            watch.standing = .watched
            watches.append(watch)
            return false
        }
        if isLate { watch.handler(.cancelled) }
    }

    /// Ends a watch, if it has not ended. Its descriptor may be closed once the thread has looked up, at once or in a moment.
    package static func cancel(_ watch: DescriptorWatch) {
        let wasWatched = lock.withLock {
            defer { watch.standing = .ended }
            return remove(watch)
        }
        if wasWatched { watch.handler(.cancelled) }
    }

    /// Has all who wait for a descriptor look at it again.
    static func recall(_ number: Int32) {
        let recalled = lock.withLock {
            let recalled = watches.filter { $0.number == number }
            for watch in recalled {
                _ = remove(watch)
                watch.standing = .ended
            }
            return recalled
        }
        for watch in recalled { watch.handler(.ready) }
    }

    /// Under the lock.
    private static func remove(_ watch: DescriptorWatch) -> Bool {
        guard watch.standing == .watched, let index = watches.firstIndex(where: { $0 === watch }) else { return false }
        watches.remove(at: index)
        // The thread keeps descriptors open for as long as it sleeps on them.
        wakeUp?.signal()
        return true
    }

    /// Under the lock.
    private static func start() throws -> WakeUp {
        if let wakeUp { return wakeUp }
        let new = try WakeUp()
        try startThread(name: "mp-descriptors") { run(new) }
        wakeUp = new
        return new
    }

    /// In a forked child, with `lock` held: the thread is its parent's, and so is what that watches.
    static func forgetAfterFork() {
        // Leaked, as handlers may hold on to what is locked for ever here.
        for watch in watches {
            _ = Unmanaged.passRetained(watch)
            if watch.isOwned { close(watch.number) }
        }
        watches = []
        wakeUp = nil
        GuardedDescriptor.forgetAfterFork()
        DescriptorDepot.forgetAfterFork()
        SegmentNames.forgetAfterFork()
        MessageHold.forgetAfterFork()
    }

    // MARK: The thread

    private static func run(_ wakeUp: WakeUp) {
        while true {
            let watched = lock.withLock { watches }
            var polled = [pollfd(fd: wakeUp.number, events: Int16(POLLIN), revents: 0)]
            for watch in watched {
                polled.append(pollfd(fd: watch.number, events: Int16(watch.direction == .reading ? POLLIN : POLLOUT), revents: 0))
            }
            let remaining = (watched.map(\.deadline).min() ?? .never).remaining
            let count = poll(&polled, nfds_t(polled.count), remaining < 0 ? -1 : Int32(min(remaining / 1_000_000 + 1, Int64(Int32.max))))
            if count > 0, polled[0].revents != 0 { wakeUp.clear() }
            let now = Deadline.now
            for (watch, entry) in zip(watched, polled.dropFirst()) {
                let isReady = count > 0 && entry.revents != 0
                if isReady || watch.deadline <= now { settle(watch, isReady ? .ready : .timedOut) }
            }
        }
    }

    private static func settle(_ watch: DescriptorWatch, _ outcome: DescriptorWatch.Outcome) {
        let isDue = lock.withLock {
            guard watch.standing == .watched else { return false }
            if watch.repeats && outcome == .ready { return true }
            watches.removeAll { $0 === watch }
            watch.standing = .ended
            return true
        }
        if isDue { watch.handler(outcome) }
    }
}

extension DescriptorService {
    /// Waits until a descriptor is ready, or `isInVain`, without holding up a thread.
    /// - Returns: false when `deadline` has passed.
    /// - Throws: `CancellationError` when the calling task is cancelled.
    static func wait(
        _ number: Int32, for direction: LocalSocket.Direction, until deadline: Deadline, unless isInVain: @escaping @Sendable () -> Bool
    ) async throws -> Bool {
        let waiter = DescriptorWait()
        let watch = DescriptorWatch(number, for: direction, until: deadline) { waiter.continuation?.resume(returning: $0) }
        let outcome = try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                waiter.continuation = continuation
                do {
                    try add(watch)
                    // Who closes it recalls those whom it finds: this one may have come a moment later.
                    if isInVain() { recall(number) }
                } catch { continuation.resume(throwing: error) }
            }
        } onCancel: {
            cancel(watch)
        }
        if outcome == .cancelled { throw CancellationError() }
        return outcome == .ready
    }
}

private final class DescriptorWait: @unchecked Sendable {
    // Unchecked: set before the watch is added, and only then is its handler called, once.
    var continuation: UnsafeContinuation<DescriptorWatch.Outcome, any Error>?
}
