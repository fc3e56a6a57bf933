public import BinaryCoding
import SharedState
import Synchronization
import SystemLayer
public import WorkTransfer

extension WorkerPool {
    /// Calls a function, and waits for what comes of it, by a run that is used again and again: nothing is allocated for the call.
    /// - Parameter take: gets the result's bytes, or the outcome where that is no short result.
    @usableFromInline
    package func call(
        _ key: FunctionKey?, _ invocation: () -> ErasedInvocation, _ encodeArguments: (ByteWriter) throws -> Void,
        _ take: (_ result: UnsafeRawBufferPointer, _ outcome: Outcome?) throws -> Void
    ) throws {
        try checkHost()
        let function = FunctionPlace(try FunctionCatalog.entry(for: key, in: arena) { invocation().invocation })
        let run = spareRun.take() ?? TaskRun(function, window: 1, in: self)
        defer {
            spareRun.give(run)?.returnSlots()
            // Its slot and it would keep a pool alive that has ended.
            if isClosing.load(ordering: .sequentiallyConsistent) { spareRun.take()?.returnSlots() }
        }
        let finished = try run.callAndWait(function, encodeArguments)
        try take(finished.bytes, finished.hasOutcome ? run.takeOutcome() : nil)
    }
}

extension TaskRun {
    fileprivate func callAndWait(_ function: FunctionPlace, _ encodeArguments: (ByteWriter) throws -> Void) throws -> Finished {
        self.function = function
        encodesFirst = false
        do {
            if let error = try submit(publishesAtOnce: true, encodeArguments) { throw error }
        } catch {
            withdraw()
            throw error
        }
        let number = newest - 1
        // To look at the slot while its worker fills it would take the line from the worker, once for each look.
        if pool.mayEverSpin { for _ in 0..<12 { spinPause() } }
        while true {
            if let finished = takeIfFinished(number) {
                pool.countEnded(collected)
                collected = 0
                return finished
            }
            _ = waiter(for: number)?.wait(until: .never)
        }
    }
}
