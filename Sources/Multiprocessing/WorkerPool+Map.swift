public import BinaryCoding
public import WorkTransfer
public import WorkerSupervision

/// Sequences whose next element is there at once, so that workers lose nothing while several are collected.
protocol PromptSequence: Sequence {}
extension Array: PromptSequence {}
extension ArraySlice: PromptSequence {}
extension ContiguousArray: PromptSequence {}
extension Range: PromptSequence where Bound: Strideable, Bound.Stride: SignedInteger {}
extension ClosedRange: PromptSequence where Bound: Strideable, Bound.Stride: SignedInteger {}
extension StrideTo: PromptSequence {}
extension StrideThrough: PromptSequence {}
extension Set: PromptSequence {}
extension Dictionary: PromptSequence {}
extension Repeated: PromptSequence {}

// Inlinable down to where the types of inputs and results no longer matter: compiled for them, the loop takes a third of the time that it takes for any type.
extension WorkerPool {
    /// Calls a function with each of the inputs, and waits for all of them.
    /// - Returns: the results, in the order of the inputs.
    /// - Throws: the error of the first of them that failed, once all have ended.
    @inlinable
    func mapAll<A: Codable & Sendable, R: Codable & Sendable>(
        _ inputs: some Sequence<A>, _ function: @escaping @Sendable (A) throws -> R
    ) throws -> [R] {
        try mapAll(inputs, makeRun(function), decodingRunsUsersCode: decodingRunsUsersCode(R.self)) { input, writer in
            try UnaryInvocation<A, R>.encodeArguments(input, to: writer)
        } decode: { reader in
            try UnaryInvocation<A, R>.decodeOutput(from: &reader)
        }
    }

    /// The same for a function without a result.
    @inlinable
    func mapAll<A: Codable & Sendable>(_ inputs: some Sequence<A>, _ function: @escaping @Sendable (A) throws -> Void) throws {
        _ = try mapAll(inputs, makeRun(function)) { input, writer in
            try UnaryVoidInvocation<A>.encodeArguments(input, to: writer)
        } decode: { _ in
        }
    }

    @usableFromInline
    func makeRun<A: Codable & Sendable, R: Codable & Sendable>(_ function: @escaping @Sendable (A) throws -> R) throws -> TaskRun {
        try TaskRun(UnaryInvocation(function), window: Self.mapWindow, in: self)
    }

    @usableFromInline
    func makeRun<A: Codable & Sendable>(_ function: @escaping @Sendable (A) throws -> Void) throws -> TaskRun {
        try TaskRun(UnaryVoidInvocation(function), window: Self.mapWindow, in: self)
    }

    /// Inputs that are taken ahead of their results.
    private static var mapWindow: Int { 1024 }

    @usableFromInline
    func isPrompt(_ inputs: some Sequence) -> Bool { inputs is any PromptSequence }

    @inlinable
    func mapAll<A, R>(
        _ inputs: some Sequence<A>, _ run: TaskRun, decodingRunsUsersCode: Bool = false, encode: (A, ByteWriter) throws -> Void,
        decode: (inout ByteReader) throws -> R
    ) throws -> [R] {
        defer { run.returnSlots() }
        let results = MappedResults<R>(reserving: inputs.underestimatedCount)
        let publishesAtOnce = !isPrompt(inputs)
        if publishesAtOnce { run.slotsAtOnce = 1 }
        var iterator = inputs.makeIterator()
        var isAtEnd = false
        // The pool takes no more work: so do we.
        func refuse(_ error: any Error) {
            run.withdraw()
            results.fail(run.next, error)
            isAtEnd = true
        }
        while true {
            while !isAtEnd, run.hasRoom {
                // An input may be long in coming, or come of other work of this pool: that must not wait for slots that hold nothing.
                if publishesAtOnce { run.returnSlots() }
                guard let input = iterator.next() else {
                    isAtEnd = true
                    break
                }
                results.add()
                do {
                    if let error = try run.submit(publishesAtOnce: publishesAtOnce, { try encode(input, $0) }) {
                        results.fail(run.next - 1, error)
                    }
                } catch {
                    refuse(error)
                }
            }
            do { try run.publish() } catch { refuse(error) }
            if run.inFlight == 0, isAtEnd { break }
            // Some, and then further inputs: workers go on meanwhile.
            var collected = 0
            while collected < 128, let finished = run.nextFinished() {
                collected += 1
                // It may need a slot, or wait for who does.
                if decodingRunsUsersCode { run.returnSlots() }
                do {
                    if finished.hasOutcome {
                        results.set(finished.number, try run.takeOutcome().decoded(decode))
                    } else {
                        var reader = ByteReader(finished.bytes)
                        results.set(finished.number, try decode(&reader))
                    }
                } catch {
                    results.fail(finished.number, error)
                }
            }
            if collected == 0 { if isAtEnd { run.waitForLast() } else { run.waitForRoom() } }
        }
        return try results.all()
    }
}
