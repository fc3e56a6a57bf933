import Synchronization
import SystemLayer

extension SharedReadWriteLock {
    /// The calls that wait, for asynchronous functions.
    public var async: Async { Async(lock: self) }

    /// Waits for a lock without blocking a thread of the concurrency pool. What is done under the lock is synchronous: who holds a lock is a thread, and an
    /// asynchronous function may go on in another after each `await`. When the task is cancelled before it has the lock, it throws a `CancellationError`: at once, or
    /// some milliseconds later where it waits for another writer.
    ///
    /// A task whose turn has come, and which does not run within 10 to 20 ms, as its executor is busy with others, lets others pass, and waits anew.
    public struct Async: Sendable {
        fileprivate let lock: SharedReadWriteLock

        /// As ``SharedReadWriteLock/withReadLock(_:)``.
        public func withReadLock<R>(isolation: isolated (any Actor)? = #isolation, _ body: () throws -> R) async throws -> R {
            while true { if let result = try await read(until: .never, isolation: isolation, body) { return result } }
        }

        /// As ``SharedReadWriteLock/withReadLock(timeout:_:)``.
        public func withReadLock<R>(
            timeout: Duration, isolation: isolated (any Actor)? = #isolation, _ body: () throws -> R
        ) async throws -> R? {
            try await read(until: Deadline(after: timeout), isolation: isolation, body)
        }

        private func read<R>(until deadline: Deadline, isolation: isolated (any Actor)?, _ body: () throws -> R) async throws -> R? {
            try Task.checkCancellation()
            while true {
                if let place = try lock.beginReading(until: .past) { return try lock.reading(in: place, body) }
                guard let party = try await joinParty(until: deadline, isolation: isolation) else { return nil }
                let isAfterDeath: Bool?
                do {
                    isAfterDeath = try await SharedReadWriteLock.untilSeen(deadline, isolation: isolation) { [lock] limit in
                        try await lock.waitingReaders.waitAsynchronously(until: limit) {
                            let isAfterDeath = lock.parties.tryToRead(lock, party)
                            if isAfterDeath != nil { lock.parties.watch(lock, party) }
                            return isAfterDeath
                        }
                    }
                } catch {
                    lock.parties.leave(lock, party)
                    throw error
                }
                guard isAfterDeath == false else {
                    lock.parties.leave(lock, party)
                    if isAfterDeath == nil { return nil }
                    throw lock.ownerDied
                }
                switch lock.parties.beginReading(lock, party) {
                case .own(let place): return try lock.reading(in: place, body)
                case .common:
                    defer { lock.parties.endReading(lock, party) }
                    return try body()
                case .lost: continue
                }
            }
        }

        /// - Returns: nil at the deadline.
        private func joinParty(until deadline: Deadline, isolation: isolated (any Actor)?) async throws -> ReadingParties.Party? {
            while true {
                if let party = lock.parties.join(lock) { return party }
                if deadline.hasPassed { return nil }
                // More read at once than there are places. Who leaves does not look for such, so they look by themselves.
                try await Task.sleep(for: .milliseconds(1))
            }
        }

        /// As ``SharedReadWriteLock/withWriteLock(_:)``.
        public func withWriteLock<R>(isolation: isolated (any Actor)? = #isolation, _ body: () throws -> R) async throws -> R {
            while true {
                if let result = try await write(until: .never, isolation: isolation, { try lock.writing(afterDeath: $0, body) }) {
                    return result
                }
            }
        }

        /// As ``SharedReadWriteLock/withWriteLock(timeout:_:)``.
        public func withWriteLock<R>(
            timeout: Duration, isolation: isolated (any Actor)? = #isolation, _ body: () throws -> R
        ) async throws -> R? {
            try await write(until: Deadline(after: timeout), isolation: isolation) { try lock.writing(afterDeath: $0, body) }
        }

        /// As ``SharedReadWriteLock/withWriteLock(repair:_:)``.
        public func withWriteLock<R>(
            isolation: isolated (any Actor)? = #isolation, repair: () throws -> Void, _ body: () throws -> R
        ) async throws -> R {
            while true {
                if let result = try await write(
                    until: .never, isolation: isolation, { try lock.writing(afterDeath: $0, repair: repair, body) })
                {
                    return result
                }
            }
        }

        /// As ``SharedReadWriteLock/withWriteLock(timeout:repair:_:)``.
        public func withWriteLock<R>(
            timeout: Duration, isolation: isolated (any Actor)? = #isolation, repair: () throws -> Void, _ body: () throws -> R
        ) async throws -> R? {
            try await write(until: Deadline(after: timeout), isolation: isolation) {
                try lock.writing(afterDeath: $0, repair: repair, body)
            }
        }

        /// - Parameter turn: ends the turn.
        private func write<R>(
            until deadline: Deadline, isolation: isolated (any Actor)?, _ turn: (_ isAfterDeath: Bool) throws -> R
        ) async throws -> R? {
            // The turn that a thread gets on this task's behalf, which the task takes from it.
            try await AsyncGate.whenFree(lock.handle, until: deadline, isolation: isolation) { [lock] cancellation, _ in
                try lock.beginWriting(until: deadline, cancellation).map { lock.give(afterDeath: $0) }
            } _: { given in
                let taken = (given ?? nil).flatMap { lock.take($0) }
                guard let isAfterDeath = try taken ?? lock.beginWriting(until: .past) else { return nil }
                return try turn(isAfterDeath)
            }
        }
    }

    private func reading<R>(in place: Int, _ body: () throws -> R) rethrows -> R {
        defer { endReading(place) }
        return try body()
    }

    // MARK: Between two threads of a task

    /// The calling thread, which writes, lets a task of this process do so, which goes on in another thread. No thread's list names the lock then: should the process
    /// die, it is settled with the object.
    func giveToProcess() {
        // While the lock is held nobody but its owner writes the word.
        writers.word.pointee.store(ProcessToken.current(in: block.arena), ordering: .releasing)
        ThreadRecords.leave(writers.offset)
    }

    func takeFromProcess() {
        let token = ThreadRecords.currentToken(in: block.arena)
        ThreadRecords.enter(writers.offset)
        writers.word.pointee.store(token, ordering: .releasing)
    }

    /// A writer's turn that the process has.
    private struct Given: Sendable {
        let isAfterDeath: Bool
        let turn = GivenTurn()
    }

    /// Gives the calling thread's turn to a task, which loses it unless it takes it soon.
    private func give(afterDeath isAfterDeath: Bool) -> Given {
        let given = Given(isAfterDeath: isAfterDeath)
        giveToProcess()
        GivenTurns.watch(given.turn) { [weak self] in
            if given.turn.takeBack() { self?.takeBack(given) }
        }
        return given
    }

    /// - Returns: whether the last writer has died; nil where the turn has been lost.
    private func take(_ given: Given) -> Bool? {
        guard given.turn.take() else { return nil }
        takeFromProcess()
        return given.isAfterDeath
    }

    private func takeBack(_ given: Given) {
        takeFromProcess()
        // Nobody has been told of the death yet.
        endWriting(writerDied: given.isAfterDeath)
    }
}

extension Deadline {
    /// For an attempt that does not wait.
    fileprivate static var past: Deadline { Deadline(instant: 0) }
}
