import Glibc
import MachineTopology
import SharedState
import SystemLayer

/// Starting processes by the fork server, with spare ones that wait for it.
///
/// A start is made in two steps, so that the process can come while its work is being written down: `reserve`, then `start`, or else `discard`.
extension ProcessMonitor {
    /// Processes waiting for work that nobody may ever have.
    struct Spares {
        var waiting: [ServedProcess] = []
        /// How many there should be: one from the first start on, as many as are started at once, or one after the other, while that goes on.
        var wanted = 0
        var lastStart = Deadline(instant: 0)
        /// For how many starts more they are replaced at once, and not when there is time: after one that found none.
        var hurry = 0
        /// Whether the timer is set.
        var isReplenishingPlanned = false
        var isShrinkingPlanned = false

        /// Whether starts that go on as they do will soon find none.
        var areLow: Bool { wanted >= 4 && waiting.count < wanted / 4 }
    }

    /// How long after the last start more than one spare is kept.
    private static let patience = Duration.seconds(2)
    /// How long after the last start spares are replaced, unless few are left, or none and a process ends: then there is time at once. Forking right after the
    /// start would take a processor from what was started.
    private static let pause = Duration.milliseconds(1)
    /// How many are asked for at a time, a pause apart: a start that comes between is not behind all of them.
    private static let batch = 4
    /// Starts that follow one another within this need more than one spare.
    private static let quickly: UInt64 = 2_000_000
    /// No more of them than could begin at once, and as many to follow; and some, however few processors there are, for processes that are started one after the
    /// other: making and clearing up a process takes longer than the rest of a short life, and while it lasts that has to wait for neither.
    private static let mostSpares = max(16, min(32, 2 * Allowance.current.workerCount))

    /// A process to be started: a spare one, where there is one. Starts the server where there is none. Does not block otherwise.
    /// - Parameter followedBy: how many more are about to be reserved: they are made at the same time.
    func reserve(freshImage: Bool = false, followedBy: Int = 0) throws -> ServedProcess {
        let server = try runningServer()
        let process: ServedProcess
        if freshImage {
            process = try makeProcess(freshImage: true, isAhead: false)
            process.isReserved = true
        } else if let spare = takeSpare() {
            process = spare
        } else {
            process = try makeProcess(freshImage: false, isAhead: false)
            process.isReserved = true
            lock.withLock { spares.hurry = 16 }
            ask(server, for: process)
        }
        if !freshImage, !process.launch.word.isReady {
            lock.withLock { wantMore() }
        }
        if followedBy > 0, !freshImage {
            lock.withLock { spares.wanted = max(spares.wanted, min(followedBy + 1, Self.mostSpares)) }
            replenish(to: followedBy, server)
        }
        return process
    }

    /// Has a reserved process begin what its launch says. Blocks only where the process is not there yet: a fraction of a millisecond.
    ///
    /// A spare that somebody has killed before it began is replaced, and its owner does not notice.
    /// - Throws: what prevents the process from starting. Discard it then.
    func start(_ process: ServedProcess, ignoresInterrupt: Bool, owner: ServedProcess.Owner) throws {
        let server = try runningServer()
        let (isThere, isMissing, asksFor, plans) = lock.withLock {
            process.owner = owner
            if let descriptor = process.descriptor { owner.runs(descriptor) }
            // Its first process has ended, or could not be, since it was reserved.
            if process.isMissing { process.arrival = Reply() }
            let now = Deadline.now
            if spares.wanted == 0 || now.instant - spares.lastStart.instant < Self.quickly { wantMore() }
            spares.lastStart = now
            defer {
                spares.hurry = max(0, spares.hurry - 1)
                spares.isReplenishingPlanned = true
            }
            // Under the lock too: from here on the owner may hear of the end, and free the launch.
            process.launch.word.give(ignoresInterrupt: ignoresInterrupt)
            // Two for one: all at once would be in the way of the starts that are to be expected.
            let asksFor = spares.hurry > 0 ? Int.max : spares.areLow ? spares.waiting.count + 2 : 0
            return (process.descriptor != nil, process.isMissing, asksFor, !spares.isReplenishingPlanned)
        }
        if isMissing { ask(server, for: process) }
        if plans { timer.set(Self.pause) }
        if asksFor > 0, !process.freshImage { replenish(to: asksFor, server) }
        if isThere { return }
        do {
            try awaitArrival(of: process, server)
        } catch {
            guard makeRoom(for: process, server) else { throw error }
            ask(server, for: process)
            try awaitArrival(of: process, server)
        }
    }

    /// After a process could not be had: whether it may be had now. What failed when it was made ahead says nothing about now; and a spare that came at that moment may
    /// have had the last place there was.
    private func makeRoom(for process: ServedProcess, _ server: ForkServer) -> Bool {
        let others = lock.withLock {
            defer { keepSpares(0) }
            return spares.waiting
        }
        for other in others {
            _ = try? awaitArrival(of: other, server)
            _ = lock.withLock { other.descriptor }?.waitForEnd(milliseconds: 1000)
        }
        return lock.withLock {
            let isHopeful = process.isAhead || !others.isEmpty
            (process.isAhead, process.arrival) = (false, Reply())
            return isHopeful
        }
    }

    private func awaitArrival(of process: ServedProcess, _ server: ForkServer) throws {
        let arrival = lock.withLock { process.arrival }
        // A server that is stuck is no server. Its end answers every request.
        if !arrival.isThere(by: Deadline(after: .seconds(30))) { server.process.send(signal: SIGKILL) }
        try arrival.wait()
    }

    /// Gives a reserved process back that is not to be started after all, or could not be.
    func discard(_ process: ServedProcess) {
        let isGone = lock.withLock {
            (process.isReserved, process.isAhead, process.owner) = (false, true, nil)
            if process.isMissing { return true }
            process.launch.clear()
            if spares.waiting.count < max(1, spares.wanted) { spares.waiting.append(process) } else { process.launch.word.withdraw() }
            return false
        }
        if isGone { process.free() }
    }

    // MARK: Spares

    private func takeSpare() -> ServedProcess? {
        lock.withLock {
            while !spares.waiting.isEmpty {
                // One that is there, before one that is still being made.
                let process = spares.waiting.remove(at: spares.waiting.firstIndex { $0.descriptor != nil } ?? 0)
                // Somebody may have killed it. Its end is dealt with when it is heard of.
                if let descriptor = process.descriptor, descriptor.waitForEnd(milliseconds: 0) { continue }
                process.isReserved = true
                return process
            }
            return nil
        }
    }

    /// On the monitor's thread, when the timer has gone off: has spares made, if there is time by now.
    func replenish() {
        let (server, count, goesOn) = lock.withLock {
            let isQuiet = Deadline.now.instant - spares.lastStart.instant >= UInt64(Self.pause.nanoseconds)
            let count = isQuiet || spares.waiting.isEmpty ? min(spares.wanted, spares.waiting.count + Self.batch) : 0
            spares.isReplenishingPlanned = self.server != nil && count < spares.wanted
            return (self.server, count, spares.isReplenishingPlanned)
        }
        if let server { replenish(to: count, server) }
        if goesOn { timer.set(Self.pause) }
    }

    /// They are used up faster than they are made: more of them are more time for each. Under the lock.
    private func wantMore() { spares.wanted = min(spares.wanted + 1, Self.mostSpares) }

    /// Asks for as many spares as there should be, `most` at most. Where there can be none, the next start will do without.
    private func replenish(to most: Int, _ server: ForkServer) {
        while lock.withLock({ !isStopped && spares.waiting.count < min(most, spares.wanted) }) {
            guard let process = try? makeProcess(freshImage: false, isAhead: true) else { return }
            lock.withLock { spares.waiting.append(process) }
            guard ask(server, for: process) else { return }
        }
        planShrinking()
    }

    private func planShrinking() {
        let plans = lock.withLock {
            guard spares.wanted > 1, !spares.isShrinkingPlanned else { return false }
            spares.isShrinkingPlanned = true
            return true
        }
        if plans { perform(at: Deadline(after: Self.patience), for: self) { [self] in shrink() } }
    }

    private func shrink() {
        lock.withLock {
            spares.isShrinkingPlanned = false
            if Deadline(instant: spares.lastStart.instant + UInt64(Self.patience.nanoseconds)).hasPassed { keepSpares(1) }
        }
        planShrinking()
    }

    /// Ends all spares; the next start has them back. For whoever counts what is in use.
    func dismissSpares() { lock.withLock { keepSpares(0) } }

    /// Under the lock.
    private func keepSpares(_ count: Int) {
        spares.wanted = count
        while spares.waiting.count > count { spares.waiting.removeLast().launch.word.withdraw() }
    }

    private func makeProcess(freshImage: Bool, isAhead: Bool) throws -> ServedProcess {
        let arena = try Arena.current()
        let identity = try ProcessTable.enter(parent: CurrentProcess.identity(in: arena), in: arena)
        do {
            return ServedProcess(try LaunchBlock(for: identity, in: arena), freshImage: freshImage, isAhead: isAhead)
        } catch {
            ProcessTable.reclaim(identity, in: arena)
            throw error
        }
    }

    // MARK: Asking the server, and hearing from it

    /// - Returns: false when the server is gone, which whoever waits for the process is told.
    @discardableResult
    private func ask(_ server: ForkServer, for process: ServedProcess) -> Bool {
        let (tag, isAhead) = lock.withLock {
            nextTag += 1
            served[nextTag] = process
            process.isMissing = false
            return (nextTag, process.isAhead)
        }
        do {
            try server.request(tag: tag, freshImage: process.freshImage, isSpare: isAhead, launch: UInt64(process.launch.offset))
            return true
        } catch {
            // Unless the monitor has noticed the server's end first, and dealt with it.
            if let process = lock.withLock({ served.removeValue(forKey: tag) }) { failed(process, error) }
            return false
        }
    }

    func started(_ tag: UInt64, _ descriptor: ProcessDescriptor) {
        let arrival: Reply<Void>? = lock.withLock {
            guard let process = served[tag] else { return nil }
            process.descriptor = descriptor
            process.owner?.runs(descriptor)
            // A replacement has nobody waiting.
            return process.lostTo == nil ? process.arrival : nil
        }
        arrival?.send(.success(()))
    }

    /// A process that was asked for cannot be. It is no longer in `served`.
    func failed(_ process: ServedProcess, _ error: any Error) {
        let (isGarbage, owner) = lock.withLock {
            process.isMissing = true
            process.descriptor = nil
            spares.waiting.removeAll { $0 === process }
            return (process.owner == nil && !process.isReserved, process.owner)
        }
        if let status = process.lostTo {
            owner?.ended(status)
            return
        }
        // Also for a spare: somebody may be waiting for it to be out of the way.
        lock.withLock { process.arrival }.send(.failure(error))
        if isGarbage { process.free() }
    }

    func ended(_ tag: UInt64, _ status: TerminationStatus) {
        guard let process = lock.withLock({ served[tag] }) else { return }
        ended(process, status, tag: tag)
    }

    /// The end of a process; of one whose server is gone too, where there is no tag: that one is not replaced.
    func ended(_ process: ServedProcess, _ status: TerminationStatus, tag: UInt64? = nil) {
        enum Consequence { case unwatched, replace(ForkServer), free, tell(ServedProcess.Owner), none }
        let consequence: Consequence = lock.withLock {
            if let tag { served[tag] = nil }
            guard let descriptor = process.descriptor else { return .unwatched }
            if let server, tag != nil, process.owner != nil, process.isAhead, !process.launch.word.isTaken, descriptor.withdraw() {
                process.isAhead = false
                process.lostTo = status
                return .replace(server)
            }
            process.isMissing = true
            process.descriptor = nil
            spares.waiting.removeAll { $0 === process }
            if let owner = process.owner { return .tell(owner) }
            // `start` will find it missing.
            return process.isReserved ? .none : .free
        }
        switch consequence {
        case .unwatched: failed(process, SystemError(code: EMFILE, call: "watching a worker"))
        case .replace(let server): ask(server, for: process)
        case .free: process.free()
        case .tell(let owner):
            owner.ended(status)
            if let server = lock.withLock({ spares.waiting.isEmpty ? server : nil }) { replenish(to: .max, server) }
        case .none: break
        }
    }
}
