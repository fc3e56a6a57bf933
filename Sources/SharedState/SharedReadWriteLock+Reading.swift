import CMultiprocessing
import Synchronization
import SystemLayer

/// How a reader comes and goes.
extension SharedReadWriteLock {
    var state: ReadWriteState { ReadWriteState(rawValue: stateWord.pointee.load(ordering: .sequentiallyConsistent)) }

    /// The word of the writers' lock.
    var writersWord: UInt32 { writers.word.pointee.load(ordering: .sequentiallyConsistent) }

    /// Blocks until the calling thread may read.
    /// - Returns: the reader's place.
    @usableFromInline
    func beginReading() throws -> Int {
        // The place, then the writer; a writer, itself, then the places: one of the two sees the other.
        if let place = places.take(ThreadRecords.currentToken(in: block.arena)) {
            if writersWord == 0, !state.writerDied { return place }
            if try read(from: place, until: .never) { return place }
        }
        // A wait without a deadline that came to one: never mind, another.
        while true { if let place = try beginReading(until: .never) { return place } }
    }

    /// - Returns: the reader's place; nil at the deadline.
    func beginReading(until deadline: Deadline) throws -> Int? {
        let token = ThreadRecords.currentToken(in: block.arena)
        // More read at once than there are places. Who leaves does not look for such, so they look by themselves.
        guard let place = try places.take(token) ?? waitingReaders.poll(until: deadline, nil, { places.take(token) }) else { return nil }
        return try read(from: place, until: deadline) ? place : nil
    }

    /// Waits, in a place that says that the calling thread reads, until it may; or gives the place up.
    /// - Returns: false at the deadline.
    @inline(never)
    private func read(from place: Int, until deadline: Deadline) throws -> Bool {
        do {
            let isAfterDeath = try permission(since: nil) ?? waitToRead(from: place, until: deadline)
            if let isAfterDeath {
                if isAfterDeath { throw ownerDied }
                return true
            }
        } catch {
            endReading(place)
            throw error
        }
        endReading(place)
        return false
    }

    @usableFromInline
    func endReading(_ place: Int) {
        places.free(place)
        // The writer that waits for this asks for the heavy fence, once it has entered its queue: after that it sees the place free, or is seen here.
        mp_fence_light()
        if waitingWriter.mayHaveWaiters { letWriterLook() }
    }

    @inline(never)
    private func letWriterLook() { waitingWriter.whileChanging { waitingWriter.notify() } }

    // MARK: Waiting

    /// Whether who has a place may read: one that says that it does, or that it has waited since `phase`.
    /// - Returns: whether the last writer has died; nil while it may not.
    // The word that shows that nobody writes also shows a death. Once a writer comes, the word says so no more, and the state does not yet.
    private func permission(since phase: UInt32?) -> Bool? {
        let (word, state) = (writersWord, state)
        if word & ThreadRecords.tokenMask == 0 { return word & OwnerLock.ownerDied != 0 || state.writerDied }
        // A writer of a later phase sees this reader's place and waits for it.
        if let phase, state.phase != phase { return state.writerDied }
        return nil
    }

    /// - Returns: as ``permission(since:)``; nil at the deadline.
    private func waitToRead(from place: Int, until deadline: Deadline) throws -> Bool? {
        let token = ThreadRecords.currentToken(in: block.arena)
        if writersWord & ThreadRecords.tokenMask == token || places.contain(token, except: place) { throw recursive }
        let phase = lineUp(in: place, token)
        if let isAfterDeath = spin(until: deadline, { tryToRead(from: place, token, since: phase) }) { return isAfterDeath }
        var isQueued = false
        return try Self.untilSeen(deadline) { limit in
            try waitingReaders.wait(until: limit) {
                defer { isQueued = true }
                return isQueued ? tryToReadOrSleep(from: place, token, since: phase) : tryToRead(from: place, token, since: phase)
            }
        }
    }

    /// Lets the writer pass that is there, and no other.
    /// - Returns: the phase since which the reader waits.
    func lineUp(in place: Int, _ token: UInt32) -> UInt32 {
        // Read when the place is taken: whoever writes in another phase is out by then, or has not come in.
        let phase = state.phase
        letWriterPass(place, ReaderPlace(token, waitingSince: phase))
        return phase
    }

    private func letWriterPass(_ place: Int, _ waiting: ReaderPlace) {
        places.store(place, waiting)
        if waitingWriter.mayHaveWaiters { letWriterLook() }
    }

    /// One attempt of a wait to read.
    /// - Returns: as ``permission(since:)``; when it is not nil, the reader reads.
    private func tryToRead(from place: Int, _ token: UInt32, since phase: UInt32) -> Bool? {
        if permission(since: phase) == nil { return nil }
        places.store(place, ReaderPlace(token))
        let isAfterDeath = permission(since: phase)
        // The writer gave up, and another came.
        if isAfterDeath == nil { letWriterPass(place, ReaderPlace(token, waitingSince: phase)) }
        return isAfterDeath
    }

    /// The same, by who is in the queue and may sleep after this.
    func tryToReadOrSleep(from place: Int, _ token: UInt32, since phase: UInt32) -> Bool? {
        if let isAfterDeath = tryToRead(from: place, token, since: phase) { return isAfterDeath }
        // The writer that is leaving by a plain store sees who is in the queue, or is seen to have left.
        _ = mp_fence_heavy()
        return tryToRead(from: place, token, since: phase)
    }

    // MARK: Spinning and fences

    /// Calls `attempt` at once, and again for a while.
    func spin<R>(until deadline: Deadline, _ attempt: () -> R?) -> R? {
        if let result = attempt() { return result }
        let end = min(monotonicNow() + spinning, deadline.instant)
        while monotonicNow() < end {
            for _ in 0..<4 { spinPause() }
            if let result = attempt() { return result }
        }
        return nil
    }

    private static let isFenceSure = mp_fence_heavy()

    /// Calls `wait` once, with `deadline`. Where the kernel has no heavy fence, again and again with a nearer one: a wake-up may be missed then.
    static func untilSeen<R>(_ deadline: Deadline, _ wait: (_ limit: Deadline) throws -> R?) rethrows -> R? {
        if isFenceSure { return try wait(deadline) }
        while true {
            if let result = try wait(min(deadline, Deadline(after: .milliseconds(1)))) { return result }
            if deadline.hasPassed { return nil }
        }
    }

    /// The same of an asynchronous wait.
    static func untilSeen<R>(
        _ deadline: Deadline, isolation: isolated (any Actor)?, _ wait: (_ limit: Deadline) async throws -> R?
    ) async rethrows -> R? {
        if isFenceSure { return try await wait(deadline) }
        while true {
            if let result = try await wait(min(deadline, Deadline(after: .milliseconds(1)))) { return result }
            if deadline.hasPassed { return nil }
        }
    }

    // MARK: Errors

    var ownerDied: OwnerDied {
        OwnerDied(
            lock: "a SharedReadWriteLock",
            advice: "Readers are told until a writer has been: repair it as one, with withWriteLock(repair:_:), then read again.")
    }

    var recursive: SharedMemoryError {
        SharedMemoryError(
            """
            A thread that holds a SharedReadWriteLock would wait for itself: it is not recursive, and a reader cannot become a writer. Do both under one \
            withWriteLock, or let go first.
            """)
    }
}
