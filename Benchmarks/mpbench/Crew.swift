import CBaselines
import Glibc

/// The C processes that do the work of the baselines: forked from this program, so of the size of the library's host, and pinned.
final class Crew {
    private let handle: OpaquePointer
    private let size: Int
    private var ended = false

    /// Forks a process for each entry, pinned to that processor; nil leaves it where the scheduler puts it.
    init(processors: [Int?]) throws {
        size = processors.count
        let places = processors.map { Int32($0 ?? -1) }
        guard let handle = cb_crew_start(places, Int32(size)) else { throw BaselineFailure.call("fork of the baseline's processes") }
        self.handle = handle
    }

    deinit { end() }

    /// Kills and reaps the processes. A second call does nothing.
    func end() {
        if !ended { cb_crew_stop(handle) }
        ended = true
    }

    /// Every member counts to `limit`; blocks until all have.
    func count(to limit: Int) throws {
        var shares = noShares
        guard cb_crew_count(handle, Int32(size), limit, &shares) == 0 else { throw BaselineFailure.call("counting in C") }
    }

    /// The first member increments under the lock, alone.
    func alone(_ kind: cb_lock_kind, operations: Int) throws -> LockShare {
        var shares = noShares
        guard cb_crew_lock_alone(handle, kind, UInt64(operations), &shares) == 0 else { throw BaselineFailure.call("locking in C") }
        return LockShare(shares[0])
    }

    /// All members increment under the same lock.
    func contended(_ kind: cb_lock_kind, _ bout: Bout, batch: Int) throws -> [LockShare] {
        var shares = noShares
        let status = cb_crew_lock_contended(
            handle, Int32(size), kind, bout.start, bout.length, UInt64(batch), bout.work.inside, bout.work.outside, &shares)
        guard status == 0 else { throw BaselineFailure.call("contended locking in C") }
        return shares.map(LockShare.init)
    }

    /// The same with each taking timed: also how many waits fell into each bucket of `cb_wait_bucket`.
    func timed(_ kind: cb_lock_kind, _ bout: Bout, batch: Int) throws -> ([LockShare], waits: [UInt64]) {
        var shares = noShares
        var waits = [UInt64](repeating: 0, count: Int(CB_WAIT_BUCKETS))
        let status = cb_crew_lock_timed(
            handle, Int32(size), kind, bout.start, bout.length, UInt64(batch), bout.work.inside, bout.work.outside, &shares, &waits)
        guard status == 0 else { throw BaselineFailure.call("timed locking in C") }
        return (shares.map(LockShare.init), waits)
    }

    /// Throws the ball to the first member and back, so often in each of so many batches; the time of each batch in ns.
    func pingPong(_ kind: cb_ball_kind, batches: Int, rounds: Int) throws -> [Double] {
        var lengths = [UInt64](repeating: 0, count: batches)
        guard cb_crew_pingpong(handle, kind, Int32(batches), UInt64(rounds), &lengths) == 0 else {
            throw BaselineFailure.call("round trips in C")
        }
        // Not `Double.init` by itself, which would be the one that takes bits.
        return lengths.map { Double($0) }
    }

    /// The first member hands over so many bytes; the time in ns, with a copy into fresh memory or without.
    func payload(bytes: Int, copyOut: Bool) throws -> Double {
        try length("copying in C") { cb_crew_payload(handle, bytes, copyOut ? 1 : 0, &$0) }
    }

    /// Half of `members` put so many words each into a queue with so many places, and half take them all out; the time in ns.
    func queue(members: Int, capacity: Int, values: Int) throws -> Double {
        try length("a queue in C") {
            cb_crew_queue(handle, Int32(members / 2), Int32(members / 2), UInt64(capacity), UInt64(values), &$0)
        }
    }

    /// The first member forks and reaps so often; the time in ns.
    func fork(times: Int) throws -> Double {
        try length("forking in C") { cb_crew_fork(handle, UInt64(times), &$0) }
    }

    /// The first member kills and replaces a worker of its own so often; the time in ns.
    func refork(times: Int) throws -> Double {
        try length("replacing workers in C") { cb_crew_refork(handle, UInt64(times), &$0) }
    }

    private func length(_ what: String, _ measure: (inout UInt64) -> Int32) throws -> Double {
        var length: UInt64 = 0
        guard measure(&length) == 0 else { throw BaselineFailure.call(what) }
        return Double(length)
    }

    private var noShares: [cb_share] {
        [cb_share](repeating: cb_share(), count: size)
    }
}

/// The C side failed.
enum BaselineFailure: Error, CustomStringConvertible {
    case system(what: String, code: Int32)

    /// With the code that errno holds now.
    static func call(_ what: String) -> BaselineFailure {
        .system(what: what, code: errno)
    }

    var description: String {
        switch self {
        case .system(let what, let code): "\(what) failed: \(String(cString: strerror(code)))"
        }
    }
}
