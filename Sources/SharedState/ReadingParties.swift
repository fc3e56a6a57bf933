import Synchronization
import SystemLayer

/// The tasks of this process that wait to read under a ``SharedReadWriteLock``. Those that come while no writer's turn has ended have one place in common, so that any
/// number of them waits as one thread would: the next writer lets them read before it.
final class ReadingParties: @unchecked Sendable {
    // Unchecked: what changes is guarded by `lock`.
    final class Party: @unchecked Sendable {
        // Unchecked: as above.
        fileprivate let token: UInt32
        fileprivate let place: Int
        fileprivate let phase: UInt32
        /// Who waits, or has not got a place of its own yet.
        fileprivate var members = 1
        /// Set when they may read: whether the last writer has died.
        fileprivate var isAfterDeath: Bool?
        /// From when they may read until they have all left the place, or have lost it.
        fileprivate let turn = GivenTurn()
        fileprivate var isWatched = false
        /// How many read in the place, as they have found none of their own.
        fileprivate var readers = 0

        fileprivate init(token: UInt32, place: Int, phase: UInt32) { (self.token, self.place, self.phase) = (token, place, phase) }
    }

    private let lock = HostLock()
    private var waiting: Party?

    /// How many wait together.
    var waitingCount: Int { lock.withLock { waiting?.members ?? 0 } }

    /// Joins those that wait.
    /// - Returns: nil when there is no place left. Who gets a party has to leave it.
    func join(_ shared: SharedReadWriteLock) -> Party? {
        lock.withLock {
            // A task runs on in whichever thread, so the place is the process's.
            let token = ProcessToken.current(in: shared.block.arena)
            // Another token is that of the process that this one was copied from.
            if let party = waiting, party.token == token {
                party.members += 1
                return party
            }
            guard let place = shared.places.take(token) else { return nil }
            let party = Party(token: token, place: place, phase: shared.lineUp(in: place, token))
            waiting = party
            return party
        }
    }

    /// - Returns: when the party may read, whether the last writer has died.
    func tryToRead(_ shared: SharedReadWriteLock, _ party: Party) -> Bool? {
        lock.withLock {
            if party.isAfterDeath == nil {
                party.isAfterDeath = shared.tryToReadOrSleep(from: party.place, party.token, since: party.phase)
                // Who comes from now on may have to let a writer pass first.
                if party.isAfterDeath != nil, waiting === party { waiting = nil }
            }
            return party.isAfterDeath
        }
    }

    /// Has a party that may read lose its turn unless it takes it soon.
    func watch(_ shared: SharedReadWriteLock, _ party: Party) {
        let isFirst = lock.withLock {
            defer { party.isWatched = true }
            return !party.isWatched
        }
        guard isFirst else { return }
        GivenTurns.watch(party.turn) { [weak shared] in
            if let shared { shared.parties.takeBack(shared, party) }
        }
    }

    /// Where a member of a party reads.
    enum Reading {
        /// In a place of its own; it has left the party.
        case own(Int)
        /// In the party's, which it has to leave.
        case common
        /// Nowhere: the party had its turn, and has not taken it in time. It has left.
        case lost
    }

    /// Lets a member read of a party that may.
    func beginReading(_ shared: SharedReadWriteLock, _ party: Party) -> Reading {
        lock.withLock {
            if !party.turn.isGiven {
                party.members -= 1
                return .lost
            }
            // In the thread's own name, so that it is told if it asks for the lock once more. No writer comes in meanwhile, as the party is there.
            if let place = shared.places.take(ThreadRecords.currentToken(in: shared.block.arena)) {
                endMembership(shared, party)
                return .own(place)
            }
            party.readers += 1
            return .common
        }
    }

    func endReading(_ shared: SharedReadWriteLock, _ party: Party) {
        lock.withLock {
            party.readers -= 1
            endMembership(shared, party)
        }
    }

    func leave(_ shared: SharedReadWriteLock, _ party: Party) { lock.withLock { endMembership(shared, party) } }

    /// The last to leave gives up the place. Under the lock.
    private func endMembership(_ shared: SharedReadWriteLock, _ party: Party) {
        party.members -= 1
        if party.members > 0 { return }
        if waiting === party { waiting = nil }
        if party.turn.take() { shared.endReading(party.place) }
    }

    private func takeBack(_ shared: SharedReadWriteLock, _ party: Party) {
        lock.withLock { if party.readers == 0, party.turn.takeBack() { shared.endReading(party.place) } }
    }
}
