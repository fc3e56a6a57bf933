import BinaryCoding
import SystemLayer
import WorkTransfer
import WorkerSupervision

/// Calls of one function, submitted as their results are taken, which are given out in the order of the inputs.
final class OrderedResults<R: Sendable>: @unchecked Sendable {
    // Unchecked: `pull` is used in `turn` only: taking an input, and encoding it, runs the user's code, and may block.
    private let calls: OrderedCalls
    private let decode: @Sendable (inout ByteReader) throws -> R
    private let turn = Turn()
    /// Takes an input and submits it; false at the end.
    private var pull: ((OrderedCalls) -> Bool)?

    init<A>(
        _ inputs: some Sequence<A>, buffer: Int, _ invocation: some HostInvocation, in pool: WorkerPool,
        decodingRunsUsersCode: Bool, encode: @escaping @Sendable (A, ByteWriter) throws -> Void,
        decode: @escaping @Sendable (inout ByteReader) throws -> R
    ) throws {
        // Workers may lose time while several inputs are collected that do not come at once.
        let publishesAtOnce = !pool.isPrompt(inputs)
        calls = try OrderedCalls(
            invocation, buffer: buffer, isPrompt: !publishesAtOnce, decodingRunsUsersCode: decodingRunsUsersCode, in: pool)
        self.decode = decode
        var iterator = inputs.makeIterator()
        pull = { [turn] calls in
            guard let input = iterator.next() else { return false }
            calls.submit(publishesAtOnce: publishesAtOnce || turn.isAwaited) { try encode(input, $0) }
            return true
        }
        refill()
    }

    /// Takes inputs while there is room, one at a time.
    /// - Returns: false when another thread is at that, who will see to it.
    @discardableResult
    private func refill() -> Bool {
        turn.take {
            while let pull, calls.wantsInput {
                if !pull(calls) {
                    calls.end()
                    self.pull = nil
                }
                turn.tell()
            }
            calls.pause()
        }
    }

    private func takeNext() -> OrderedCalls.Found {
        while true {
            let found = calls.takeNext()
            guard case .takeInputs = found.step else { return found }
            if refill() { continue }
            if turn.isMine { return OrderedCalls.Found(number: found.number, step: .outcome(.failure(Turn.waitsForItself)), isLow: false) }
            turn.wait { calls.hasNext }
        }
    }

    private func decoded(_ outcome: Outcome) -> Result<R, any Error> { Result { try outcome.decoded(decode) } }

    /// Waits for the next result. Blocks.
    /// - Parameter timeout: what `deadline` was made of, for the message.
    /// - Returns: nil at the end.
    func nextResult(until deadline: Deadline, _ timeout: Duration?) -> Result<R, any Error>? {
        let found = takeNext()
        defer { if found.isLow { refill() } }
        var step = found.step
        while true {
            switch step {
            case .outcome(let outcome): return decoded(outcome)
            case .takeInputs, .end: return nil
            case .wait(let waiter):
                if !waiter.wait(until: deadline) {
                    return .failure(TaskTimeout("There was no result within \(timeout ?? .zero). The work goes on."))
                }
                step = calls.takeAgain(found.number)
            }
        }
    }

    /// As ``nextResult(until:_:)``, without blocking a thread. Throws `CancellationError` when the awaiting task is cancelled.
    func nextResult(until deadline: Deadline) async throws -> Result<R, any Error>? {
        let found = takeNext()
        defer { if found.isLow { refill() } }
        var step = found.step
        while true {
            switch step {
            case .outcome(let outcome): return decoded(outcome)
            case .takeInputs, .end: return nil
            case .wait(let waiter):
                try await suspend(until: deadline) { resume in waiter.whenEnded(resume) }
                step = calls.takeAgain(found.number)
            }
        }
    }
}
