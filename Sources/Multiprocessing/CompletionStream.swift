import SystemLayer
import Synchronization
import WorkerSupervision

/// Takes inputs, submits them, and gives the futures in the order in which they end.
final class CompletionStream<R: Sendable>: @unchecked Sendable {
    // Unchecked: `lock` guards everything that changes. Inputs are taken and submitted in `turn`: that may run the user's code, and block.
    typealias Element = (index: Int, future: Future<R>)

    private let lock = HostLock()
    private let turn = Turn()
    /// Whether what was submitted for it is of no use to others.
    private let cancelsRest: Bool
    private let buffer: Int
    private var pull: (() -> Future<R>?)?
    private var nextIndex = 0
    /// Submitted and not given out.
    private var waiting: [Int: Future<R>] = [:]
    private var ended = IndexQueue()
    /// Counts what those who wait wait for.
    private let changes: FutexWord = .makeFutexWord()
    private var sleepers: [@Sendable () -> Void] = []

    init<A>(_ inputs: some Sequence<A>, buffer: Int, cancelsRest: Bool = true, submit: @escaping (A) -> Future<R>) {
        var iterator = inputs.makeIterator()
        pull = { iterator.next().map(submit) }
        self.buffer = max(1, buffer)
        self.cancelsRest = cancelsRest
        refill()
    }

    deinit {
        if cancelsRest { for future in waiting.values { future.cancelIfPending() } }
        changes.deallocate()
    }

    /// Takes inputs while there is room, one at a time, unless another thread is at that.
    private func refill() {
        turn.take {
            // Only in the turn is it called; others may let go of it meanwhile.
            while let pull = lock.withLock({ waiting.count < buffer ? self.pull : nil }) {
                guard let future = pull() else {
                    lock.withLock { self.pull = nil }
                    return notify()
                }
                let index: Int? = lock.withLock {
                    if self.pull == nil { return nil }
                    defer { nextIndex += 1 }
                    waiting[nextIndex] = future
                    return nextIndex
                }
                // The rest has been given up while this one was submitted.
                guard let index else { return future.cancelIfPending() }
                future.whenComplete { [weak self] _ in self?.hasEnded(index) }
            }
        }
    }

    private func hasEnded(_ index: Int) {
        lock.withLock { ended.append(index) }
        notify()
    }

    private func notify() {
        let sleepers = lock.withLock {
            defer { self.sleepers = [] }
            return self.sleepers
        }
        changes.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        changes.wakeAll()
        for resume in sleepers { resume() }
    }

    private enum Next {
        case element(Element)
        case wait
        case end
    }

    private func takeNext() -> Next {
        lock.withLock {
            guard let index = ended.popFirst() else { return waiting.isEmpty && pull == nil ? .end : .wait }
            guard let future = waiting.removeValue(forKey: index) else { preconditionFailure("a future that ended twice") }
            return .element((index, future))
        }
    }

    /// Whether the calling thread is taking an input this moment, for which it wants a result, while there is none to come.
    private var isWaitingForItself: Bool { turn.isMine && lock.withLock { waiting.isEmpty } }

    /// The next future, which has ended. Blocks.
    /// - Returns: nil at the end.
    /// - Throws: ``TaskTimeout`` when `deadline` passes first.
    func next(until deadline: Deadline) throws -> Element? {
        while true {
            let seen = changes.pointee.load(ordering: .sequentiallyConsistent)
            switch takeNext() {
            case .element(let element):
                refill()
                return element
            case .end: return nil
            case .wait:
                if isWaitingForItself { throw Turn.waitsForItself }
                if !changes.wait(while: seen, until: deadline) {
                    throw TaskTimeout("There was no further result in time. The work goes on.")
                }
            }
        }
    }

    /// As ``next(until:)``, without blocking a thread. Throws `CancellationError` when the awaiting task is cancelled.
    func next(until deadline: Deadline) async throws -> Element? {
        while true {
            switch takeNext() {
            case .element(let element):
                refill()
                return element
            case .end: return nil
            case .wait:
                if isWaitingForItself { throw Turn.waitsForItself }
                try await suspend(until: deadline) { resume in
                    let isThere = lock.withLock {
                        if !ended.isEmpty || (waiting.isEmpty && pull == nil) { return true }
                        sleepers.append(resume)
                        return false
                    }
                    if isThere { resume() }
                }
            }
        }
    }

    /// Every result, in the order of the inputs. The first error, or the awaiting task's cancellation, gives up the rest.
    func all() async throws -> [R] {
        var results: [Int: R] = [:]
        do {
            while let (index, future) = try await next(until: .never) { results[index] = try await future.value }
        } catch {
            cancelAll()
            throw error
        }
        return (0..<results.count).compactMap { results[$0] }
    }

    private func cancelAll() {
        let rest = lock.withLock {
            pull = nil
            return Array(waiting.values)
        }
        let isCancelled = Task.isCancelled
        for future in rest { if isCancelled { future.cancel() } else { future.cancelIfPending() } }
    }
}

/// Indices, of which the oldest comes out first. Each move takes constant time, on the average.
private struct IndexQueue {
    private var indices: [Int] = []
    private var taken = 0

    var isEmpty: Bool { taken == indices.count }

    mutating func append(_ index: Int) { indices.append(index) }

    mutating func popFirst() -> Int? {
        guard !isEmpty else { return nil }
        defer {
            taken += 1
            // So seldom that each of those that move up then has one that was taken to pay for it.
            if 2 * taken >= indices.count {
                indices.removeSubrange(..<taken)
                taken = 0
            }
        }
        return indices[taken]
    }
}

/// Suspends until `register`'s callback is called.
/// - Throws: `CancellationError` when the task is cancelled, ``TaskTimeout`` when `deadline` passes first.
func suspend(until deadline: Deadline, _ register: (@escaping @Sendable () -> Void) -> Void) async throws {
    let resumption = Resumption()
    var timer: Int?
    if !deadline.isNever {
        timer = CallbackThread.shared.perform(at: deadline) {
            resumption.resume(.failure(TaskTimeout("There was no result in time. The work goes on.")))
        }
    }
    defer { if let timer { CallbackThread.shared.cancel(timer) } }
    try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
            resumption.set(continuation)
            register { resumption.resume(.success(())) }
        }
    } onCancel: {
        resumption.resume(.failure(CancellationError()))
    }
}

/// A continuation that several may want to resume: the first does.
private final class Resumption: @unchecked Sendable {
    // Unchecked: `lock` guards both.
    private let lock = HostLock()
    private var continuation: CheckedContinuation<Void, any Error>?
    private var early: Result<Void, any Error>?

    func set(_ continuation: CheckedContinuation<Void, any Error>) {
        let early = lock.withLock {
            if self.early == nil { self.continuation = continuation }
            return self.early
        }
        if let early { continuation.resume(with: early) }
    }

    func resume(_ result: Result<Void, any Error>) {
        let waiting = lock.withLock {
            defer { continuation = nil }
            if early == nil { early = result }
            return continuation
        }
        waiting?.resume(with: result)
    }
}
