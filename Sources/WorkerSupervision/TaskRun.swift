public import BinaryCoding
import SharedState
import Synchronization
import SystemLayer
package import WorkTransfer

/// Many calls of one function: submitted and collected in bulk, with no object for each of them.
///
/// Calls are numbered from 0 in the order in which they were submitted. One thread at a time uses a run; only ``taskEnded(_:_:)`` comes from others.
@usableFromInline
package final class TaskRun: @unchecked Sendable {
    // Unchecked: everything is the using thread's, but for `strays` and `listeners`, which `lock` guards.
    let pool: WorkerPool
    @exclusivity(unchecked) var function: FunctionPlace
    let writer: SlotByteWriter
    /// Whether arguments are encoded before slots are taken for them; see ``giveWay()``.
    @exclusivity(unchecked) var encodesFirst = false
    /// What has been encoded, and has neither slot nor number yet.
    @exclusivity(unchecked) var encoded: EncodedCalls?
    /// Called before the user's code encodes, in the place of ``giveWay()``, where that needs a lock.
    package var makeWay: (() -> Void)?

    /// Calls that have not been given out, at their number modulo the array's size: those from `oldest` to `newest`.
    let entries: UnsafeMutablePointer<Entry>
    let mask: Int
    @exclusivity(unchecked) var oldest = 0
    @exclusivity(unchecked) var newest = 0
    /// Calls from before `oldest` that have not ended, while hundreds after them have: they must not keep others waiting.
    @exclusivity(unchecked) var stragglers: [(number: Int, entry: Entry)] = []
    @exclusivity(unchecked) var live = 0
    /// The calls from here on have been submitted, and not been published yet.
    @exclusivity(unchecked) var unpublished = 0
    @exclusivity(unchecked) private var publishAt = 1
    /// Slots of this run that hold no task.
    @exclusivity(unchecked) var free: [Int32] = []
    /// Where ``nextFinished()`` looks next; -1: among the stragglers.
    @exclusivity(unchecked) private var cursor = -1
    /// Behind how many calls that wait it stops looking.
    @exclusivity(unchecked) var scanLimit = mostAtOnce
    /// Calls collected since the pool was told.
    @exclusivity(unchecked) var collected = 0
    private let scratch: UnsafeMutableRawBufferPointer
    /// That of the call given out last, when it is no short result.
    private var outcome: Outcome?
    /// Whether who collects takes over the holds on shared objects that are results: see ``Finished/hold``.
    @exclusivity(unchecked) var takesHolds = false
    /// How long to leave the slot of a call alone before the first look whether it has ended, in eighths of a pause of the processor: learnt, for one function.
    @exclusivity(unchecked) var patience = firstPatience
    static let firstPatience = 8 * 12

    let lock = HostLock()
    /// What calls came to that were ended by others: other threads that needed their slots, the supervisor, whoever ended the pool.
    var strays: [Int: Outcome] = [:]
    private let strayCount = Atomic<Int>(0)
    /// Counts strays, and is slept on.
    let changes: FutexWord = .makeFutexWord()
    var listeners: [Int: @Sendable () -> Void] = [:]

    struct Entry: BitwiseCopyable {
        var slot: Int32 = 0
        /// 0 when it has been given out.
        var use: UInt32 = 0
    }

    /// How many calls are published at once, when there are many.
    static let mostAtOnce = 64
    /// How far behind the calls that have ended one that has not is looked at among them.
    private static let mostOutOfOrder = 256

    /// - Parameter window: how many calls may be in flight, at most.
    /// - Throws: `TransferError` for a function that cannot travel.
    package convenience init(_ invocation: some HostInvocation, window: Int, in pool: WorkerPool) throws {
        try pool.checkHost()
        self.init(FunctionPlace(try FunctionCatalog.entry(for: invocation, in: pool.arena)), window: window, in: pool)
    }

    init(_ function: FunctionPlace, window: Int, in pool: WorkerPool) {
        self.pool = pool
        self.function = function
        writer = SlotByteWriter(in: pool.arena)
        // Others want slots too.
        self.window = max(1, min(window, pool.block.slots / 2))
        var size = 2 * Self.mostOutOfOrder
        while size < self.window + 2 * Self.mostOutOfOrder { size *= 2 }
        entries = .allocate(capacity: size)
        entries.initialize(repeating: Entry(), count: size)
        mask = size - 1
        scratch = .allocate(byteCount: PoolBlock.mediumBytes, alignment: 16)
        writer.whenLeaving = { [unowned self] in leave($0) }
    }

    deinit {
        scratch.deallocate()
        entries.deallocate()
        changes.deallocate()
    }

    package let window: Int
    /// Whether calls may have to wait for those before them: not those that are submitted singly, which may wait for each other.
    private var isBunchable: Bool { window > 1 }
    /// How many calls have been submitted and not given out.
    @usableFromInline
    package var inFlight: Int { live }
    /// Whether another call may be submitted now.
    @usableFromInline
    package var hasRoom: Bool { live + withoutSlot < window }
    /// The number of the next call to be submitted.
    @usableFromInline
    package var next: Int { newest + withoutSlot }
    /// How many calls are encoded that are still to get slots, and numbers, which will be the next ones.
    private var withoutSlot: Int { encoded?.count ?? 0 }
    /// The number of the first call that workers cannot see yet; that of the next one, if they see all.
    package var published: Int { unpublished }
    /// How many free slots are taken for further calls at a time.
    @usableFromInline
    package var slotsAtOnce = mostAtOnce / 2

    // MARK: Submitting

    /// Submits the next call, which becomes number `newest`. Blocks while there is no free slot.
    /// - Parameter publishesAtOnce: workers are to see it now, and not only after some more.
    /// - Returns: why it cannot be encoded; then there is no such call, though it has a number.
    /// - Throws: what keeps the pool from taking work. There is no call then.
    @usableFromInline
    package func submit(publishesAtOnce: Bool, _ encodeArguments: (ByteWriter) throws -> Void) throws -> (any Error)? {
        if encodesFirst { return try submitEncoding(publishesAtOnce: publishesAtOnce, encodeArguments) }
        let slot = try takeSlot()
        let isFilled: Bool
        do {
            isFilled = try pool.fill(slot, function, writer, encodeArguments)
        } catch {
            if writer.retainsObjects { writer.forget() }
            if !writer.isApart { free.append(Int32(slot)) }
            try skip()
            return error
        }
        guard isFilled else {
            try submitEncoded(publishesAtOnce: true)
            return nil
        }
        // The slot's record keeps what was encoded.
        if writer.retainsObjects { writer.forget() }
        enter(slot)
        try publishIfDue(atOnce: publishesAtOnce)
        return nil
    }

    /// Publishes what was submitted, if there is enough of it.
    @inline(__always)
    func publishIfDue(atOnce: Bool, count: Int? = nil) throws {
        guard atOnce || count ?? (newest - unpublished) >= publishAt else { return }
        publishAt = min(Self.mostAtOnce, 2 * publishAt)
        try publish()
    }

    /// Makes a filled slot the next call.
    @inline(__always)
    func enter(_ slot: Int) {
        makePlace()
        pool.records[slot].tag = newest
        entries[newest & mask] = Entry(slot: Int32(slot), use: 0)
        newest += 1
        live += 1
    }

    /// Gives a number to a call that cannot be encoded: it counts as given out.
    package func skip() throws {
        try publish()
        makePlace()
        entries[newest & mask] = Entry()
        newest += 1
        unpublished += 1
    }

    /// Sees to it that the place of the next call is nobody's: inputs that cannot be encoded take up numbers without being in flight, so that the calls in flight
    /// may be any distance apart.
    @inline(__always)
    private func makePlace() { if newest - oldest > mask { passOldest() } }

    /// No longer keeps the oldest call at its place.
    private func passOldest() {
        let entry = entries[oldest & mask]
        if entry.use != 0 { stragglers.append((oldest, entry)) }
        oldest += 1
    }

    /// Makes workers see all that was submitted.
    @usableFromInline
    package func publish() throws {
        try enterEncoded()
        try publishEntered()
    }

    /// Makes workers see all that has a slot.
    func publishEntered() throws {
        while unpublished < newest {
            let count = newest - unpublished
            let block = pool.block
            let published: Int = try pool.lock.withLock {
                if let refusal = pool.phase.refusal { throw refusal }
                let room = min(count, block.room(atLeast: count, &pool.knownHead))
                for i in 0..<room {
                    let place = (unpublished + i) & mask
                    let slot = Int(entries[place].slot)
                    let use = pool.makeReady(slot)
                    entries[place].use = use
                    block.enqueue(slot, use: use, ahead: i, isBunchable: isBunchable)
                }
                block.publish(room)
                pool.countPublished(room)
                if room > 0 { block.callWorkerSparingly(&pool.lastCall) }
                return room
            }
            unpublished += published
            if published < count { pool.waitForProgress { pool.hasRoomOrRefuses } }
        }
        if pool.configuration.taskTimeout != nil { pool.block.callSupervisor() }
    }

    /// Takes back what was submitted and not published, when it cannot be.
    @usableFromInline
    package func withdraw() {
        encoded?.count = 0
        while newest > unpublished {
            newest -= 1
            live -= 1
            let slot = Int(entries[newest & mask].slot)
            pool.clear(slot)
            pool.returnSlot(slot)
        }
    }

    func takeSlot() throws -> Int {
        if let slot = free.popLast() { return Int(slot) }
        while true {
            let wanted = max(1, min(slotsAtOnce, window - live))
            try pool.lock.withLock {
                if let refusal = pool.phase.refusal { throw refusal }
                while free.count < wanted, let slot = pool.popFreeSlot() {
                    pool.records[slot].owner = self
                    free.append(Int32(slot))
                }
            }
            if let slot = free.popLast() { return Int(slot) }
            try publishEntered()
            pool.waitForFreeSlot()
        }
    }

    /// Gives slots back that hold nothing, so that nobody waits for them while this run is not used.
    @usableFromInline
    package func returnSlots(keeping kept: Int = 0) {
        guard free.count > kept || collected > 0 else { return }
        if free.count > kept {
            pool.lock.withLock {
                while free.count > kept, let slot = free.popLast() {
                    pool.records[Int(slot)].owner = nil
                    pool.freeSlots.append(Int(slot))
                }
            }
            pool.wakePublishers()
        }
        if collected > 0 {
            pool.countEnded(collected)
            collected = 0
        }
    }

    // MARK: Collecting

    /// A call that has ended.
    @usableFromInline
    package struct Finished: BitwiseCopyable {
        @usableFromInline package let number: Int
        /// Whether its outcome is to be had by ``takeOutcome()``; else it is a result that lies in `bytes`. Both until the next call is given out.
        @usableFromInline package let hasOutcome: Bool
        @usableFromInline package let bytes: UnsafeRawBufferPointer
        /// The place of the shared object that the bytes are, which this process now holds for who takes it from them; 0 for none.
        var hold: UInt64 = 0
    }

    /// Gives out a call that has ended, the older ones first but in no certain order; nil when there is none at the moment, and then it begins anew with the oldest.
    @usableFromInline
    package func nextFinished() -> Finished? {
        if cursor < 0 {
            for straggler in stragglers { if case .finished(let finished) = take(straggler.number) { return finished } }
            cursor = oldest
        }
        // Workers take calls in about the order in which they were published: behind so many that wait, none has ended.
        var waiting = 0
        while cursor < unpublished, waiting < scanLimit {
            let number = cursor
            cursor += 1
            let ahead = number + PoolBlock.prefetchDistance
            if ahead < unpublished { pool.block.prefetchSlot(Int(entries[ahead & mask].slot)) }
            switch take(number) {
            case .finished(let finished): return finished
            case .waiting: waiting += 1
            case .running, .gone: break
            }
        }
        while cursor - oldest > Self.mostOutOfOrder { passOldest() }
        cursor = -1
        scanLimit = Self.mostAtOnce
        return nil
    }

    enum Look {
        case finished(Finished)
        case waiting
        case running
        /// It has been given out before.
        case gone
    }

    /// Gives out a certain call, if it has ended.
    func take(_ number: Int) -> Look {
        guard let entry = entry(number) else { return .gone }
        let slot = Int(entry.slot)
        let word = pool.block.load(slot)
        switch word.use == entry.use ? word.phase : .free {
        case .ready: return .waiting
        case .claimed, .draining: return .running
        case .condemned, .free:
            // Somebody else has it in hand, or has taken it out, and is about to say so if that has not been said yet.
            guard let outcome = takeStray(number) else { return .running }
            forget(number)
            self.outcome = outcome
            return .finished(Finished(number: number, hasOutcome: true, bytes: UnsafeRawBufferPointer(start: nil, count: 0)))
        case .value, .error:
            guard pool.block.move(slot, from: word, to: word.moved(to: .draining)) else { return .running }
            let finished = finish(number, slot, word)
            forget(number)
            return .finished(finished)
        }
    }

    /// Gives out a certain call, if it has ended.
    package func takeIfFinished(_ number: Int) -> Finished? {
        if case .finished(let finished) = take(number) { return finished }
        return nil
    }

    /// The outcome of the call that was given out last, when it has one.
    @usableFromInline
    package func takeOutcome() -> Outcome {
        guard let outcome else { preconditionFailure("an outcome that was taken before") }
        self.outcome = nil
        return outcome
    }

    /// The outcome of a call that was just given out, also when that is a result in memory that will be used again.
    package func outcome(of finished: Finished) -> Outcome {
        if finished.hasOutcome { return takeOutcome() }
        guard let start = finished.bytes.baseAddress else { preconditionFailure("a result at no address") }
        if finished.bytes.count <= PoolBlock.smallBytes { return .small(SmallPayload(start, count: finished.bytes.count)) }
        return .value(Payload(inline: start, bytes: finished.bytes.count, block: 0, handles: 0, in: pool.arena))
    }

    private func finish(_ number: Int, _ slot: Int, _ word: SlotWord) -> Finished {
        let block = pool.block
        let place = block.place(block.resultParts, slot)
        var hasOutcome = false
        var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        var hold: UInt64 = 0
        if word.phase == .value, place.isInline, !place.hasHandles || place.isBareHandle && takesHolds {
            let there = block.bytes(block.resultParts, slot)
            scratch.copyMemory(from: there)
            bytes = UnsafeRawBufferPointer(rebasing: scratch[..<there.count])
            if place.isBareHandle {
                hold = bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt64.self)
                HandleRegistry.takeCustody(of: hold, in: pool.arena)
            }
        } else {
            outcome = pool.takeOutcome(slot, word)
            hasOutcome = true
        }
        pool.empty(slot)
        block.word(slot).pointee.store(SlotWord(.free, use: word.use).rawValue, ordering: .releasing)
        if word.hasWaiter { block.futex(slot).wakeAll() }
        if place.hasHandles { block.nudge(word.worker) }
        free.append(Int32(slot))
        collected += 1
        return Finished(number: number, hasOutcome: hasOutcome, bytes: bytes, hold: hold)
    }

    /// Where a call is that has been published and not been given out.
    @inline(__always)
    func entry(_ number: Int) -> Entry? {
        if number < oldest { return stragglers.first { $0.number == number }?.entry }
        let entry = entries[number & mask]
        return entry.use == 0 ? nil : entry
    }

    private func forget(_ number: Int) {
        live -= 1
        if number < oldest { return stragglers.removeAll { $0.number == number } }
        entries[number & mask].use = 0
        while oldest < unpublished, entries[oldest & mask].use == 0 { oldest += 1 }
        if cursor >= 0, cursor < oldest { cursor = oldest }
    }

    // MARK: What others do

    /// Takes the outcome of a call that another has ended. Never blocks, runs no user code.
    func taskEnded(_ tag: Int, _ outcome: Outcome) {
        lock.withLock {
            guard strays[tag] == nil else { return }
            strays[tag] = outcome
            strayCount.wrappingAdd(1, ordering: .relaxed)
        }
        announce(tag)
    }

    /// Has those look again who wait for a call that has come to an end, or was given out to another.
    package func announce(_ number: Int) {
        changes.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        changes.wakeAll()
        callListener(number)
    }

    func callListener(_ number: Int) { lock.withLock { listeners.removeValue(forKey: number) }?() }

    private func takeStray(_ number: Int) -> Outcome? {
        guard strayCount.load(ordering: .acquiring) > 0 else { return nil }
        return lock.withLock {
            guard let outcome = strays.removeValue(forKey: number) else { return nil }
            strayCount.wrappingSubtract(1, ordering: .relaxed)
            return outcome
        }
    }

    // MARK: Ending early

    /// Drops the calls from `first` on that no worker has taken yet; the others are seen to their end by the pool. The run is not used any more.
    package func abandon(from first: Int) {
        // In a forked copy these are the parent's calls.
        guard pool.isHost else { return }
        withdraw()
        for number in stragglers.map(\.number) + Array(oldest..<max(oldest, newest)) {
            guard let entry = entry(number) else { continue }
            let (slot, use) = (Int(entry.slot), entry.use)
            if number < first || !pool.giveUp(slot, use, CancellationError(), running: false) { pool.supervise(slot, use) }
        }
        returnSlots()
    }
}
