import BinaryCoding
import WorkTransfer
import WorkerSupervision

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

extension WorkerPool {
    /// Inputs that are taken ahead of their results.
    private static let mapWindow = 1024

    /// Calls a function with each of the inputs, and waits for all of them.
    /// - Returns: the results, in the order of the inputs.
    /// - Throws: the error of the first of them that failed, once all have ended.
    func mapAll<A, R>(
        _ inputs: some Sequence<A>, _ invocation: some HostInvocation, encode: (A, ByteWriter) throws -> Void,
        decode: (inout ByteReader) throws -> R
    ) throws -> [R] {
        let run = try TaskRun(invocation, window: Self.mapWindow, in: self)
        defer { run.returnSlots() }
        let results = MappedResults<R>(reserving: inputs.underestimatedCount)
        let isPrompt = inputs is any PromptSequence
        var iterator = inputs.makeIterator()
        var isAtEnd = false
        func refuse(_ error: any Error) {
            run.withdraw()
            results.fail(run.next, error)
            isAtEnd = true
        }
        while true {
            while !isAtEnd, run.hasRoom {
                guard let input = iterator.next() else {
                    isAtEnd = true
                    break
                }
                results.add()
                do {
                    switch try run.submit(publishesAtOnce: !isPrompt, { try encode(input, $0) }) {
                    case .submitted: break
                    case .cannotBeEncoded(let error): results.fail(run.next - 1, error)
                    }
                } catch {
                    refuse(error)
                }
            }
            do { try run.publish() } catch { refuse(error) }
            if run.inFlight == 0, isAtEnd { break }
            if isAtEnd { run.waitForLast() } else { run.waitForRoom() }
            while let finished = run.nextFinished() {
                do {
                    if let outcome = finished.outcome {
                        results.set(finished.number, try outcome.decoded(decode))
                    } else {
                        var reader = ByteReader(finished.bytes)
                        results.set(finished.number, try decode(&reader))
                    }
                } catch {
                    results.fail(finished.number, error)
                }
            }
        }
        return try results.all()
    }
}

/// Results that come in any order, and the first error in that of the inputs.
private final class MappedResults<R> {
    // Not an array of optionals: each access to it from generic code would look its type up.
    private var values: UnsafeMutablePointer<R>
    private var isThere: [Bool] = []
    private var capacity: Int
    private var failure: (number: Int, error: any Error)?

    init(reserving count: Int) {
        capacity = max(64, count)
        values = .allocate(capacity: capacity)
        isThere.reserveCapacity(capacity)
    }

    deinit {
        for number in isThere.indices where isThere[number] { (values + number).deinitialize(count: 1) }
        values.deallocate()
    }

    func add() {
        if isThere.count == capacity { grow() }
        isThere.append(false)
    }

    private func grow() {
        let larger = UnsafeMutablePointer<R>.allocate(capacity: 2 * capacity)
        for number in isThere.indices where isThere[number] { (larger + number).moveInitialize(from: values + number, count: 1) }
        values.deallocate()
        values = larger
        capacity *= 2
    }

    func set(_ number: Int, _ value: consuming R) {
        (values + number).initialize(to: value)
        isThere[number] = true
    }

    func fail(_ number: Int, _ error: any Error) {
        if let failure, failure.number < number { return }
        failure = (number, error)
    }

    func all() throws -> [R] {
        if let failure { throw failure.error }
        let count = isThere.count
        isThere = []
        return [R](unsafeUninitializedCapacity: count) { memory, initialized in
            if let base = memory.baseAddress { base.moveInitialize(from: values, count: count) }
            initialized = count
        }
    }
}
