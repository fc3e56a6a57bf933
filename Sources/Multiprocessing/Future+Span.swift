import BinaryCoding
import SystemLayer
import WorkerSupervision

/// Results read where their worker has written them.
extension Future {
    /// Waits for the result and calls `body` with its elements, read in place: nothing is copied for it, whatever the size.
    ///
    /// ```swift
    /// let frame = pool.applyAsync(render, 3)               // returns [Float]
    /// let brightest = try frame.withSpan { pixels in … }   // Span<Float>, in shared memory
    /// ```
    ///
    /// In place where the elements travel as their bytes (numbers, SIMD vectors, ``RawTransferable`` types) and there are at least a kibibyte of them; any other
    /// result, or one that its host made itself, is decoded as by ``get(timeout:)`` and `body` gets a span of that. May be called several times, before and
    /// after `get`. The memory is the future's, and free for other results once that is gone. Blocks the calling thread.
    /// - Parameter timeout: from now; nil waits for ever.
    /// - Throws: what ``get(timeout:)`` throws, and what `body` throws.
    public func withSpan<Element, R>(timeout: Duration? = nil, _ body: (Span<Element>) throws -> R) throws -> R
    where Output == [Element], Element: BitwiseCopyable {
        guard let outcome = wait(until: Deadline(after: timeout)) else { throw lateResult(timeout) }
        return try read(outcome, body)
    }

    /// As ``withSpan(timeout:_:)``, awaited without blocking a thread.
    public func withSpan<Element, R>(_ body: (Span<Element>) throws -> R) async throws -> R
    where Output == [Element], Element: BitwiseCopyable {
        try read(await comingOutcome, body)
    }

    private func read<Element, R>(_ outcome: Outcome, _ body: (Span<Element>) throws -> R) throws -> R
    where Output == [Element], Element: BitwiseCopyable {
        // What is borrowed belongs to the payload, and that to the future.
        try withExtendedLifetime(self) {
            if case .value(let payload) = outcome {
                let read: R? = try payload.withReader { reader in
                    guard let elements = reader.borrowArray(of: Element.self) else { return nil }
                    return try body(elements.span)
                }
                if let read { return read }
            }
            let array = try decodedResult(outcome).get()
            return try body(array.span)
        }
    }
}
