import BinaryCoding
import SystemLayer
import WorkTransfer
import WorkerSupervision

/// Calls of one function whose outcomes are given out in the order in which they were submitted, to any number of threads: what ``OrderedResults`` does that does not
/// depend on types, which is most of it.
final class OrderedCalls: @unchecked Sendable {
    // Unchecked: `lock` guards everything that changes.
    private let lock = HostLock()
    private let run: TaskRun
    private let buffer: Int
    /// Whether results are decoded by the user's code, which may need a slot.
    private let decodingRunsUsersCode: Bool
    /// Which call's outcome is given out next.
    private var next = 0
    private var isAtEnd = false
    /// Inputs that came to nothing before a worker could see them.
    private var failures: [Int: any Error] = [:]
    /// Outcomes that were taken out to make room for further calls.
    private var early: [Int: Outcome] = [:]

    /// For how many threads that wait at the same time there is room without any waiting for another.
    private static let manyConsumers = 64

    /// - Parameter isPrompt: inputs come at once, so that workers lose nothing while several are collected.
    init(_ invocation: some HostInvocation, buffer: Int, isPrompt: Bool, decodingRunsUsersCode: Bool, in pool: WorkerPool) throws {
        // Calls that consumers wait for are in flight beside those that the buffer counts.
        run = try TaskRun(invocation, window: min(buffer, .max - Self.manyConsumers) + Self.manyConsumers, in: pool)
        self.buffer = buffer
        self.decodingRunsUsersCode = decodingRunsUsersCode
        // While an input is waited for, others must not wait for slots that hold nothing.
        run.slotsAtOnce = isPrompt ? min(buffer, run.slotsAtOnce) : 1
        run.makeWay = { [unowned self] in lock.withLock { run.giveWay() } }
    }

    // A result that was waited for in vain is still to come about: it may be wanted for what it does.
    deinit { run.abandon(from: next) }

    // MARK: Submitting

    /// Whether another input may be taken now. Blocks for that only when there is no call whose result could be asked for.
    var wantsInput: Bool { lock.withLock { !isAtEnd && run.next - next < buffer && hasRoom } }

    /// Whether it is time to take inputs again: many at once, where there may be many, as each time costs something.
    private var isLow: Bool { !isAtEnd && run.next - next <= (buffer > 64 ? buffer - 64 : buffer - 1) }

    /// Under the lock.
    private var hasRoom: Bool {
        if !run.hasRoom { collect() }
        while !run.hasRoom, next >= run.next, !isAtEnd {
            do { try run.publish() } catch { refuse(error) }
            run.waitForRoom()
            collect()
        }
        return run.hasRoom
    }

    /// Takes out results that nobody has asked for, so that their slots are free. Under the lock.
    private func collect() {
        while let finished = run.nextFinished() {
            early[finished.number] = run.outcome(of: finished)
            if finished.number < next { run.announce(finished.number) }
        }
        if run.slotsAtOnce == 1 { run.returnSlots() }
    }

    /// Submits the next call. Blocks as the pool's `submit` does. One thread at a time, which may take outcomes while it encodes, as others may.
    func submit(publishesAtOnce: Bool, _ encodeArguments: (ByteWriter) throws -> Void) {
        var failure: (any Error)?
        do { try run.encode(encodeArguments) } catch { failure = error }
        lock.withLock {
            do {
                if let failure {
                    try run.skip()
                    failures[run.next - 1] = failure
                } else {
                    try run.submitEncoded(publishesAtOnce: publishesAtOnce)
                }
            } catch {
                refuse(error)
            }
        }
    }

    /// Says that no input is left.
    func end() { lock.withLock { isAtEnd = true } }

    /// Lets workers see what was submitted, and others have what this does not need.
    func pause() {
        lock.withLock {
            do { try run.publish() } catch { refuse(error) }
            run.returnSlots()
        }
    }

    /// Under the lock. The pool takes no more work: the next input fails for that, and is the last.
    private func refuse(_ error: any Error) {
        run.withdraw()
        if run.next >= next { failures[run.next] = error }
        isAtEnd = true
    }

    // MARK: Outcomes

    enum Step {
        case outcome(Outcome)
        case wait(TaskRun.Waiter)
        /// Another thread may be taking an input this moment.
        case takeInputs
        case end
    }

    /// What is known of a call, and what to do besides.
    struct Found {
        let number: Int
        let step: Step
        /// It is time to take inputs again.
        let isLow: Bool
    }

    /// Whether there is a call that can be claimed, or never will be.
    var hasNext: Bool { lock.withLock { isAtEnd || isNextThere } }

    /// Under the lock.
    private var isNextThere: Bool { next < run.published || failures[next] != nil }

    /// Claims the next call, and looks what has become of it so far.
    func takeNext() -> Found {
        lock.withLock {
            guard isNextThere else {
                return Found(number: next, step: isAtEnd ? .end : .takeInputs, isLow: false)
            }
            next += 1
            let step = look(next - 1)
            let isLow = isLow
            // Nobody knows when the next result will be asked for: until then the slot is others', and a pool that is closed must not wait for it.
            if !isLow || decodingRunsUsersCode { run.returnSlots() }
            return Found(number: next - 1, step: step, isLow: isLow)
        }
    }

    /// Looks again what has become of a call.
    func takeAgain(_ number: Int) -> Step {
        lock.withLock {
            defer { run.returnSlots() }
            return look(number)
        }
    }

    /// Under the lock.
    private func look(_ number: Int) -> Step {
        if let finished = run.takeIfFinished(number) { return .outcome(run.outcome(of: finished)) }
        if let waiter = run.waiter(for: number) { return .wait(waiter) }
        if let outcome = early.removeValue(forKey: number) { return .outcome(outcome) }
        if let error = failures.removeValue(forKey: number) { return .outcome(.failure(error)) }
        return .end
    }
}
