public import BinaryCoding
import SharedState
import Synchronization
import SystemLayer
public import WorkTransfer

extension WorkerPool {
    /// Calls a function, and waits for what comes of it, by a run that is used again and again: nothing is allocated for the call.
    /// - Parameter take: gets a reader of the result's bytes, or the outcome where that is no short result.
    @usableFromInline
    package func call(
        _ key: FunctionKey?, _ invocation: () -> ErasedInvocation, _ encodeArguments: (ByteWriter) throws -> Void,
        _ take: (_ result: inout ByteReader, _ outcome: Outcome?) throws -> Void
    ) throws {
        try checkHost()
        let function = FunctionPlace(try FunctionCatalog.entry(for: key, in: arena) { invocation().invocation })
        let run = spareRun.take() ?? TaskRun(function, window: 1, in: self)
        run.takesHolds = true
        defer {
            spareRun.give(run)?.returnSlots()
            // Its slot and it would keep a pool alive that has ended.
            if isClosing.load(ordering: .sequentiallyConsistent) { spareRun.take()?.returnSlots() }
        }
        let finished = try run.callAndWait(function, encodeArguments)
        var result = ByteReader(finished.bytes, hold: finished.hold)
        // Of a shared object that was not what is expected.
        defer { if result.hold != 0 { HandleRegistry.endCustody(of: result.hold, in: arena) } }
        try take(&result, finished.hasOutcome ? run.takeOutcome() : nil)
    }
}

extension TaskRun {
    fileprivate func callAndWait(_ function: FunctionPlace, _ encodeArguments: (ByteWriter) throws -> Void) throws -> Finished {
        if function != self.function {
            self.function = function
            patience = Self.firstPatience
        }
        encodesFirst = false
        do {
            if let error = try submit(publishesAtOnce: true, encodeArguments) { throw error }
        } catch {
            withdraw()
            throw error
        }
        let number = newest - 1
        // To look at the slot while its worker fills it would take the line from the worker, once for each look.
        if pool.mayEverSpin { for _ in 0..<patience / 8 { spinPause() } }
        var looks = 0
        while true {
            if let finished = takeIfFinished(number) {
                if looks <= Self.mostLooks { learn(wasTooEarly: looks > 0) }
                pool.countEnded(collected)
                collected = 0
                return finished
            }
            looks += 1
            if looks <= Self.mostLooks, pool.mayEverSpin {
                spinPause()
            } else {
                _ = waiter(for: number)?.wait(until: .never)
            }
        }
    }

    /// How many looks after the first one a call may take to be one of those whose length is worth knowing: where tasks take longer than this, looks do not matter.
    private static let mostLooks = 32

    /// Waits a little longer before the first look at the next call if there were others, and a little shorter if not: one look in nine is then too early.
    private func learn(wasTooEarly: Bool) {
        if wasTooEarly { if patience < 8 * 40 { patience += 8 } } else if patience > 8 * 4 { patience -= 1 }
    }
}
