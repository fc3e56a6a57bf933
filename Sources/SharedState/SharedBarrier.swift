public import BinaryCoding
import Synchronization
import SystemLayer

/// Where a number of threads, of any processes of a family, wait for one another: when all have come, all go on.
///
/// Pass it as an argument, or capture it in a `.fork` child. It can be passed again and again.
///
/// It *breaks* when it can no longer be relied on that all will come: when a party gives up, when ``abort()`` is called, and when a process dies that holds a
/// handle to it or was about to get one, whether it has come or was still to come. Then all who wait are told at once, and everybody who comes, by ``BrokenBarrier``, until
/// ``reset()``. A worker that ends in order, as a child process after its body, or a pool's worker after a task, breaks nothing.
///
/// ```swift
/// let barrier = try SharedBarrier(parties: 4)
/// …                                    // in four workers
/// firstHalf()
/// if try barrier.wait() == 0 { print("all have done the first half") }
/// secondHalf()
/// ```
///
/// A call whose errors are not named throws none: it is declared so that one can be told some day.
public final class SharedBarrier: Codable, Sendable, SharedObject, SharedHandleDecodable, ReliedOnObject {
    // The object: the state; from 64 on who waits; then a place for each party.
    private static let queueAt = 64
    private static let placesAt = queueAt + WaitQueue.size

    private let block: ObjectBlock
    let queue: WaitQueue

    package var handle: UInt64 { UInt64(block.offset) }

    /// How many threads have to come.
    public let parties: Int

    /// Makes a barrier for `parties` threads.
    /// - Throws: ``SharedMemoryError`` when there is no memory for it, or `parties` is below 1.
    public convenience init(parties: Int) throws {
        guard parties >= 1, parties <= ArenaLayout.threadCapacity else {
            throw SharedMemoryError("A SharedBarrier of \(parties) parties cannot be: ask for 1 to \(ArenaLayout.threadCapacity).")
        }
        self.init(
            retained: try ObjectBlock.make(
                .barrier, elementSize: 0, count: parties, size: Self.placesAt + parties * 8, in: try Arena.current()))
    }

    /// Takes over one hold on `block`.
    private init(retained block: ObjectBlock) {
        self.block = block
        parties = block.count
        queue = WaitQueue(at: block.offset + ObjectBlock.payload + Self.queueAt, in: block.arena)
    }

    deinit { HandleRegistry.release(block) }

    var arena: Arena { block.arena }
    var state: BarrierState { BarrierState(rawValue: block.payloadWord(0).pointee.load(ordering: .sequentiallyConsistent)) }

    private func move(_ current: BarrierState, to new: BarrierState) -> Bool {
        block.payloadWord(0).pointee.compareExchange(
            expected: current.rawValue, desired: new.rawValue, ordering: .sequentiallyConsistent
        ).exchanged
    }

    private func word(_ index: Int) -> ObjectWord { block.payloadWord(Self.placesAt + index * 8) }
    private func place(_ index: Int) -> BarrierPlace { BarrierPlace(rawValue: word(index).pointee.load(ordering: .sequentiallyConsistent)) }

    private func replace(_ index: Int, _ current: BarrierPlace, by new: BarrierPlace) -> Bool {
        word(index).pointee.compareExchange(
            expected: current.rawValue, desired: new.rawValue, ordering: .sequentiallyConsistent
        ).exchanged
    }

    /// How many threads wait now. It may have changed before the caller looks at it.
    public var waiting: Int {
        let state = state
        return state.phase == .filling ? (0..<parties).count { !place($0).isFree } : 0
    }

    /// Whether nobody passes it until ``reset()``.
    public var isBroken: Bool { state.phase == .broken || state.pending != .none }

    // MARK: Waiting

    /// Waits until all parties have come.
    /// - Returns: a number from 0 on, below ``parties``, which is another for each of those who have come together.
    /// - Throws: ``BrokenBarrier`` when it is broken, or breaks meanwhile.
    public func wait() throws -> Int { try wait(until: .never) }

    /// As ``wait()``, but breaks the barrier when not all have come within `timeout`.
    public func wait(timeout: Duration) throws -> Int { try wait(until: Deadline(after: timeout)) }

    private func wait(until deadline: Deadline) throws -> Int {
        let token = ThreadRecords.currentToken(in: arena)
        while true {
            switch try come(as: { BarrierPlace(of: token, in: $0) }) {
            case .early(let current):
                if try queue.wait(until: deadline, { hasEnded(current) }) != nil { continue }
                breakUp(.timedOut)
                throw BrokenBarrier(cause: .timedOut)
            case .here(let index, let current):
                defer { leave(index, current.generation) }
                if try queue.wait(until: deadline, { hasEnded(current) }) == nil { giveUp(.timedOut) }
                return try outcome(index)
            }
        }
    }

    /// What has become of a party that comes.
    enum Arrival {
        /// It has a place. All have come, or it broke, when ``hasEnded(_:)`` of the state.
        case here(index: Int, BarrierState)
        /// The parties of another generation have not all left. It can come again when ``hasEnded(_:)`` of the state.
        case early(BarrierState)
    }

    /// Takes a place in a generation whose parties are coming. Does not block.
    /// - Parameter place: what names the party, in a generation.
    /// - Throws: ``BrokenBarrier``.
    func come(as place: (UInt32) -> BarrierPlace) throws -> Arrival {
        while true {
            let current = state
            switch current.phase {
            case .broken: throw current.error
            case .draining, .resetting:
                // Somebody may have died who should have done it.
                advance()
                return .early(current)
            case .filling:
                let (free, mine) = (BarrierPlace.free(in: current.generation), place(current.generation))
                let index = (0..<parties).first { self.place($0) == free && replace($0, free, by: mine) }
                // Also where there was no place: the last to come may have died before it said so.
                complete(current)
                if let index { return .here(index: index, current) }
            }
        }
    }

    /// Whether it is no longer as in `current`, but for what is to become of the next generation.
    func hasEnded(_ current: BarrierState) -> Void? {
        let state = state
        return state.phase == current.phase && state.generation == current.generation ? nil : ()
    }

    /// Breaks the barrier for a party that has a place and waits no longer, unless all have come just then.
    func giveUp(_ cause: BarrierState.Cause) { change { $0.phase == .filling ? $0.broken(cause, pid: 0) : $0 } }

    /// For a party that has a place, and as long as it has: until then the generation stays.
    func outcome(_ index: Int) throws -> Int {
        let state = state
        if state.phase == .draining { return index }
        throw state.error
    }

    /// Lets all pass if all have come.
    private func complete(_ current: BarrierState) {
        guard current.phase == .filling,
            (0..<parties).allSatisfy({ !place($0).isFree && place($0).generation == current.generation })
        else { return }
        queue.whileChanging {
            if move(current, to: BarrierState(current.generation, .draining)) { queue.notifyAll() }
        }
    }

    func leave(_ index: Int, _ generation: UInt32) {
        word(index).pointee.store(BarrierPlace.free(in: generation &+ 1).rawValue, ordering: .sequentiallyConsistent)
        advance()
    }

    /// Begins the next generation, if this one has ended and all have left.
    private func advance() {
        let current = state
        guard current.phase == .draining || current.phase == .resetting else { return }
        let next = BarrierPlace.free(in: current.generation &+ 1)
        for index in 0..<parties {
            let place = place(index)
            if place == next { continue }
            // Nobody had come to this place; and nobody does any more.
            guard place == .free(in: current.generation), replace(index, place, by: next) else { return }
        }
        queue.whileChanging {
            if move(current, to: current.next) { queue.notifyAll() }
        }
    }

    // MARK: Breaking

    /// Breaks the barrier: all who wait, and all who come until ``reset()``, are told by ``BrokenBarrier``. Does not block.
    public func abort() throws { breakUp(.aborted) }

    /// Makes it a new barrier: unbroken, with nobody there. Who waits is told by ``BrokenBarrier``; who has been let through passes. Does not block.
    public func reset() throws {
        change { $0.reset }
        advance()
    }

    func breakUp(_ cause: BarrierState.Cause, pid: UInt32 = 0) { change { $0.broken(cause, pid: pid) } }

    private func change(_ new: (BarrierState) -> BarrierState) {
        queue.whileChanging {
            while true {
                let current = state
                if move(current, to: new(current)) { return queue.notifyAll() }
            }
        }
    }

    package func receiverDied(_ processIdentifier: Int32) { breakUp(.partyDied, pid: UInt32(bitPattern: processIdentifier)) }

    /// Settles the death of a process that held `block`, a barrier, for its caller, who sees to it that it stays. It can be repeated.
    /// - Parameter inOrder: whether it had nothing more to do when it ended; then it breaks the barrier only if a thread of its was waiting.
    static func settleDeath(_ block: ObjectBlock, pid: UInt32, inOrder: Bool) {
        // A hold of this process's own, while there is a handle.
        HandleRegistry.retain(block)
        SharedBarrier(retained: block).settleDeath(pid: pid, inOrder: inOrder)
    }

    private func settleDeath(pid: UInt32, inOrder: Bool) {
        let dead = (0..<parties).filter { index in
            let place = place(index)
            return !place.isFree && !place.isLive(in: arena)
        }
        // First, so that nobody sees a place given up in a generation that is still to be completed.
        if !inOrder || !dead.isEmpty { breakUp(.partyDied, pid: pid) }
        for index in dead {
            let place = place(index)
            // That of another dead process, which is being settled at this moment, may be free by now.
            if !place.isFree { _ = replace(index, place, by: .free(in: place.generation &+ 1)) }
        }
        // It may have left, and died before it began the next generation.
        advance()
        queue.whileChanging { queue.notifyAll() }
    }

    // MARK: Travelling

    /// Finds the barrier that another process of the family has sent. Throws a `DecodingError` elsewhere.
    public convenience init(from decoder: any Decoder) throws {
        self.init(retained: try ObjectBlock.decode(.barrier, of: Self.self, from: decoder))
    }

    package static func find(handle: UInt64, isHeld: Bool) -> Self? {
        ObjectBlock.retain(.barrier, at: handle, isHeld: isHeld).map { Self(retained: $0) }
    }

    /// Writes the barrier's place in shared memory. Throws an `EncodingError` for anything but a message to a process of the family.
    public func encode(to encoder: any Encoder) throws { try encodeHandle(to: encoder) }
}
