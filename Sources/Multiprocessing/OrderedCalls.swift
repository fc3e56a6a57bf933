import BinaryCoding
import SystemLayer
import WorkerSupervision

/// Calls of one function whose outcomes are given out in the order in which they were submitted, to any number of threads: what ``OrderedResults`` does that does not
/// depend on types, which is most of it.
final class OrderedCalls: @unchecked Sendable {
    // Unchecked: `lock` guards everything that changes.
    private let lock = HostLock()
    private let run: TaskRun
    private let buffer: Int
    /// Which call's outcome is given out next.
    private var next = 0
    private var isAtEnd = false
    /// Inputs that came to nothing before a worker could see them.
    private var failures: [Int: any Error] = [:]
    /// Outcomes that were taken out to make room for further calls.
    private var early: [Int: Outcome] = [:]

    init(_ run: TaskRun, buffer: Int) {
        self.run = run
        self.buffer = buffer
    }

    // A result that was waited for in vain is still to come about: it may be wanted for what it does.
    deinit { run.abandon(from: next) }

    // MARK: Submitting

    /// Whether another input may be taken.
    var wantsInput: Bool { lock.withLock { !isAtEnd && run.next - next < buffer } }

    /// Whether it is time to take inputs again: many at once, where there may be many, as each time costs something.
    private var isLow: Bool { !isAtEnd && run.next - next <= (buffer > 64 ? buffer - 64 : buffer - 1) }

    /// Submits the next call. Blocks as the pool's `submit` does.
    func submit(publishesAtOnce: Bool, _ encodeArguments: (ByteWriter) throws -> Void) {
        lock.withLock {
            if !run.hasRoom { makeRoom() }
            do {
                if let error = try run.submit(publishesAtOnce: publishesAtOnce, encodeArguments) { failures[run.next - 1] = error }
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
        failures[run.next] = error
        isAtEnd = true
    }

    /// Under the lock.
    private func makeRoom() {
        while !run.hasRoom {
            run.waitForRoom()
            while let finished = run.nextFinished() {
                early[finished.number] = run.outcome(of: finished)
                if finished.number < next { run.announce(finished.number) }
            }
        }
    }

    // MARK: Outcomes

    enum Step {
        case outcome(Outcome)
        case wait(TaskRun.Waiter)
        case end
    }

    /// What is known of a call, and what to do besides.
    struct Found {
        let number: Int
        let step: Step
        /// It is time to take inputs again.
        let isLow: Bool
    }

    /// Claims the next call, and looks what has become of it so far.
    func takeNext() -> Found {
        lock.withLock {
            if next >= run.next, failures[next] == nil { return Found(number: next, step: .end, isLow: false) }
            next += 1
            return Found(number: next - 1, step: look(next - 1), isLow: isLow)
        }
    }

    /// Looks again what has become of a call.
    func takeAgain(_ number: Int) -> Step { lock.withLock { look(number) } }

    /// Under the lock.
    private func look(_ number: Int) -> Step {
        if let finished = run.takeIfFinished(number) { return .outcome(run.outcome(of: finished)) }
        if let waiter = run.waiter(for: number) { return .wait(waiter) }
        if let outcome = early.removeValue(forKey: number) { return .outcome(outcome) }
        if let error = failures.removeValue(forKey: number) { return .outcome(.failure(error)) }
        return .end
    }
}
