import Glibc
import Synchronization
import SystemLayer

@testable import SharedState

/// Deaths of threads that come to a barrier, leave it, break it or reset it, or settle another's death, while a party waits there: it is told, and then the barrier is
/// as new.
enum BarrierExperiments {
    /// The victim is the last to come: it lets the other through, and leaves.
    static func pass() throws {
        let scene = try Scene(parties: 2)
        try scene.run("SharedBarrier.wait, the last to come") { _ = try scene.barrier.wait() }
    }

    /// The victim waits no longer.
    static func giveUp() throws {
        let scene = try Scene(parties: 3)
        try scene.run("SharedBarrier.wait, given up") {
            do { _ = try scene.barrier.wait(timeout: .zero) } catch is BrokenBarrier {}
        }
    }

    static func abort() throws {
        let scene = try Scene(parties: 2)
        try scene.run("SharedBarrier.abort") { try scene.barrier.abort() }
    }

    static func reset() throws {
        let scene = try Scene(parties: 2)
        try scene.run("SharedBarrier.reset") { try scene.barrier.reset() }
    }

    /// The victim is to tell the party that waits of the death of another.
    static func settle() throws {
        let scene = try Scene(parties: 3)
        try scene.run("SharedBarrier.settleDeath", besideDeadParty: true) {
            if let dead = scene.deadParty { ProcessTable.reclaim(dead, in: scene.arena) }
        }
    }

    private final class Scene: @unchecked Sendable {
        // Unchecked: used by one thread at a time, but for what is atomic.
        let arena: Arena
        let barrier: SharedBarrier
        /// A process that has come, and ended.
        private(set) var deadParty: ProcessIdentity?
        private let host = getpid()
        private let isDone = Atomic<Bool>(true)

        init(parties: Int) throws {
            arena = try Arena.current()
            barrier = try SharedBarrier(parties: parties)
        }

        private var entries: [WaitEntry] {
            (0..<WaitQueue.capacity).map { WaitEntryPlace(barrier.queue.offset + WaitQueue.entries + 8 * $0, in: arena).load() }
        }

        /// - Parameter besideDeadParty: then the victim is no party.
        func run(_ name: String, besideDeadParty: Bool = false, operation: @escaping () throws -> Void) throws {
            try Execution(
                name: name, arena: arena, inheritsHandles: !besideDeadParty,
                prepare: { if besideDeadParty { try self.makeDeadParty(of: $0) } },
                before: {
                    // The first use of all that a victim uses is not part of its path.
                    let own = CurrentProcess.identity(in: self.arena)
                    _ = ThreadRecords.currentToken(in: self.arena)
                    guard getpid() == self.host else { return }
                    if besideDeadParty { try self.makeDeadParty(of: own) }
                    try self.startParty()
                },
                meanwhile: { try self.startParty() }, operation: operation, check: { _ in try self.check() }, undo: { try self.check() }
            ).run()
        }

        private func makeDeadParty(of parent: ProcessIdentity) throws {
            let party = try ProcessTable.enter(parent: parent, in: arena)
            ObjectBlock(offset: Int(barrier.handle), in: arena).addHolder(party)
            _ = try barrier.come(as: { BarrierPlace(ofTaskIn: party, in: $0) })
            deadParty = party
        }

        /// A thread that comes, and sleeps.
        private func startParty() throws {
            isDone.store(false, ordering: .sequentiallyConsistent)
            try startThread(name: "party") {
                _ = try? self.barrier.wait()
                self.isDone.store(true, ordering: .sequentiallyConsistent)
            }
            try wait(for: "the party that was to sleep does not") { entries.contains { $0 != .free && $0.phase == .asleep } }
        }

        private func check() throws {
            try wait(for: "the party that waits is not told") { isDone.load(ordering: .sequentiallyConsistent) }
            try barrier.reset()
            try requireEqual(barrier.isBroken, false)
            try requireEqual(barrier.waiting, 0)
            // All meet anew.
            let passed = Passed()
            for _ in 1..<barrier.parties {
                try startThread(name: "party") { if (try? self.barrier.wait()) != nil { passed.add() } }
            }
            _ = try barrier.wait(timeout: .seconds(20))
            try wait(for: "not all pass who have come") { passed.value == barrier.parties - 1 }
            try wait(for: "a party has left something behind") { entries.allSatisfy { $0 == .free } }
        }

        private final class Passed: Sendable {
            private let count = Atomic<Int>(0)
            var value: Int { count.load(ordering: .sequentiallyConsistent) }
            func add() { count.add(1, ordering: .sequentiallyConsistent) }
        }

        private func wait(for failure: String, _ condition: () -> Bool) throws {
            let deadline = Deadline(after: .seconds(20))
            while !condition() {
                if deadline.hasPassed { throw Laboratory.Failure(description: failure) }
                usleep(50)
            }
        }
    }
}
