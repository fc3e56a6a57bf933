import BinaryCoding
import SystemLayer
import WorkTransfer
import WorkerSupervision

/// Calls of one function, submitted as their results are taken, which are given out in the order of the inputs.
final class OrderedResults<R: Sendable>: @unchecked Sendable {
    // Unchecked: `lock` guards everything that changes but the inputs, which `pullLock` guards: taking one runs the user's code, and may block.
    private let lock = HostLock()
    private let pullLock = HostLock()
    private let run: TaskRun
    private let buffer: Int
    private let decode: @Sendable (inout ByteReader) throws -> R

    /// Takes an input. Gives what submits it; nil at the end.
    private var pull: (() -> Submit?)?
    typealias Submit = (TaskRun) throws -> (any Error)?
    /// Which input's result is given out next.
    private var next = 0
    private var isAtEnd = false
    /// Inputs that came to nothing before a worker could see them.
    private var failures: [Int: any Error] = [:]
    /// Results that were taken out to make room for further calls.
    private var early: [Int: Outcome] = [:]

    init<A>(
        _ inputs: some Sequence<A>, buffer: Int, _ invocation: some HostInvocation, in pool: WorkerPool,
        encode: @escaping @Sendable (A, ByteWriter) throws -> Void, decode: @escaping @Sendable (inout ByteReader) throws -> R
    ) throws {
        // Calls that consumers wait for are in flight beside those that the buffer counts.
        run = try TaskRun(invocation, window: min(buffer, .max - Self.manyConsumers) + Self.manyConsumers, in: pool)
        self.buffer = buffer
        self.decode = decode
        // Workers may lose time while several inputs are collected that do not come at once.
        let publishesAtOnce = !(inputs is any PromptSequence)
        // Nor must others wait meanwhile for slots that hold nothing.
        run.slotsAtOnce = publishesAtOnce ? 1 : min(buffer, run.slotsAtOnce)
        var iterator = inputs.makeIterator()
        pull = {
            iterator.next().map { input in { run in try run.submit(publishesAtOnce: publishesAtOnce) { try encode(input, $0) } } }
        }
        refill()
    }

    // A result that was waited for in vain is still to come about: it may be wanted for what it does.
    deinit { run.abandon(from: next) }

    // MARK: Inputs

    /// For how many that wait at the same time there is room without any waiting for another.
    private static var manyConsumers: Int { 64 }

    /// Takes inputs when there is room for enough of them: many at once, where there may be many, since each time costs something.
    private func refill() {
        let isWorthwhile = lock.withLock {
            if !isAtEnd && run.next - next <= (buffer > 64 ? buffer - 32 : buffer - 1) { return true }
            // Nobody knows when the next result will be asked for: until then the slot is others', and a pool that is closed must not wait for it.
            run.returnSlots()
            return false
        }
        if isWorthwhile { takeInputs() }
    }

    /// Takes inputs while there is room, one at a time.
    private func takeInputs() {
        pullLock.withLock {
            while lock.withLock({ !isAtEnd && run.next - next < buffer && hasRoom }) {
                let submit = pull?()
                lock.withLock { if let submit { self.submit(submit) } else { isAtEnd = true } }
            }
            lock.withLock {
                do { try run.publish() } catch { refuse(error) }
                run.returnSlots()
                if isAtEnd { pull = nil }
            }
        }
    }

    /// Under the lock.
    private func submit(_ submit: Submit) {
        do {
            if let error = try submit(run) { failures[run.next - 1] = error }
        } catch {
            refuse(error)
        }
    }

    /// Under the lock. The pool takes no more work: the next input fails for that, and is the last.
    private func refuse(_ error: any Error) {
        run.withdraw()
        if run.next >= next { failures[run.next] = error }
        isAtEnd = true
    }

    /// Whether another call can be submitted now. Waits for that only when there is none whose result could be asked for. Under the lock.
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

    // MARK: Results

    private enum Step {
        case result(Result<R, any Error>)
        case outcome(Outcome)
        case wait(TaskRun.Waiter)
        case end
    }

    /// Claims the next number; nil at the end.
    private func claimNext() -> Int? {
        while true {
            let (number, isAtEnd): (Int?, Bool) = lock.withLock {
                guard next < run.published || failures[next] != nil else { return (nil, self.isAtEnd) }
                defer { next += 1 }
                return (next, false)
            }
            if let number { return number }
            // Another may be taking an input this moment, which is no end.
            if isAtEnd { return nil }
            takeInputs()
        }
    }

    /// What has become of a number so far.
    private func look(_ number: Int) -> Step {
        lock.withLock {
            if let error = failures.removeValue(forKey: number) { return .result(.failure(error)) }
            if let outcome = early.removeValue(forKey: number) { return .outcome(outcome) }
            if let finished = run.takeIfFinished(number) { return .outcome(run.outcome(of: finished)) }
            return run.waiter(for: number).map { .wait($0) } ?? .end
        }
    }

    private func decoded(_ outcome: Outcome) -> Result<R, any Error> { Result { try outcome.decoded(decode) } }

    /// Waits for the next result. Blocks.
    /// - Parameter timeout: what `deadline` was made of, for the message.
    /// - Returns: nil at the end.
    func nextResult(until deadline: Deadline, _ timeout: Duration?) -> Result<R, any Error>? {
        guard let number = claimNext() else { return nil }
        defer { refill() }
        while true {
            switch look(number) {
            case .result(let result): return result
            case .outcome(let outcome): return decoded(outcome)
            case .wait(let waiter): if !waiter.wait(until: deadline) { return .failure(Self.late(timeout)) }
            case .end: return nil
            }
        }
    }

    /// As ``nextResult(until:_:)``, without blocking a thread. Throws `CancellationError` when the awaiting task is cancelled.
    func nextResult(until deadline: Deadline, _ timeout: Duration?) async throws -> Result<R, any Error>? {
        guard let number = claimNext() else { return nil }
        defer { refill() }
        while true {
            switch look(number) {
            case .result(let result): return result
            case .outcome(let outcome): return decoded(outcome)
            case .wait(let waiter): try await suspend(until: deadline) { resume in waiter.whenEnded(resume) }
            case .end: return nil
            }
        }
    }

    private static func late(_ timeout: Duration?) -> TaskTimeout {
        TaskTimeout("There was no result within \(timeout ?? .zero). The work goes on.")
    }
}
