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

    /// The last to leave gives up the place.
    func leave(_ shared: SharedReadWriteLock, _ party: Party) {
        lock.withLock {
            party.members -= 1
            if party.members > 0 { return }
            if waiting === party { waiting = nil }
            shared.endReading(party.place)
        }
    }
}

/// What stands in a word for this process and none of its threads: for what a task holds between two of its steps. It is live as long as the process.
enum ProcessToken {
    static let lock = HostLock()
    // Guarded by `lock`.
    @exclusivity(unchecked) private nonisolated(unsafe) static var known: (process: UInt32, token: UInt32)?

    static func current(in arena: Arena) -> UInt32 {
        lock.withLock {
            let process = CurrentProcess.identity(in: arena).bits
            // A forked child has its parent's.
            if let known, known.process == process { return known.token }
            let token = ThreadRecords.claim(in: arena).token
            known = (process, token)
            return token
        }
    }
}
