import Glibc
import Synchronization
import SystemLayer

@testable import SharedState

/// Deaths of readers and writers, who hold a lock, wait for it, or let others have it that sleep: whoever comes then gets it, and is told of a writer's death if it
/// may have left something half done.
enum ReadWriteExperiments {
    static func read() throws {
        let scene = try Scene()
        try scene.run("SharedReadWriteLock.withReadLock", operation: { try scene.lock.withReadLock {} })
    }

    static func write() throws {
        let scene = try Scene()
        try scene.run("SharedReadWriteLock.withWriteLock", operation: { try scene.lock.withWriteLock { scene.change() } })
    }

    /// The last writer has died, and nobody has been told.
    static func writeAfterDeath() throws {
        let scene = try Scene()
        try scene.run(
            "SharedReadWriteLock.withWriteLock, after a death",
            before: { scene.lock.writers.word.pointee.store(OwnerLock.ownerDied, ordering: .sequentiallyConsistent) },
            operation: { try scene.lock.withWriteLock(repair: { scene.repair() }) { scene.change() } })
    }

    /// A writer sleeps until the victim has read.
    static func endReading() throws {
        let scene = try Scene()
        var place = 0
        try scene.run(
            "SharedReadWriteLock.withReadLock, with a writer that sleeps", before: { place = try scene.lock.beginReading() },
            meanwhile: { try scene.startSleeper(in: scene.lock.waitingWriter) { try scene.lock.withWriteLock(repair: {}) {} } },
            operation: { scene.lock.endReading(place) })
    }

    /// A reader sleeps until the victim has written.
    static func endWriting() throws {
        let scene = try Scene()
        try scene.run(
            "SharedReadWriteLock.withWriteLock, with a reader that sleeps", before: { _ = try scene.lock.beginWriting() },
            meanwhile: {
                try scene.startSleeper(in: scene.lock.waitingReaders) {
                    do { try scene.lock.withReadLock {} } catch is OwnerDied {}
                }
            }, operation: { scene.lock.endWriting(writerDied: false) })
    }

    /// The victim waits to read, sleeps, and is woken when somebody has written.
    static func waitToRead() throws {
        let scene = try Scene()
        try scene.run(
            "SharedReadWriteLock.withReadLock, with a sleep", sleeps: true,
            meanwhile: {
                try scene.startHolder(until: scene.lock.waitingReaders, { _ = try scene.lock.beginWriting() }) {
                    scene.lock.endWriting(writerDied: false)
                }
            }, operation: { try scene.lock.withReadLock {} })
    }

    /// The victim waits to write, sleeps, and is woken when somebody has read.
    static func waitToWrite() throws {
        let scene = try Scene()
        let place = Place()
        try scene.run(
            "SharedReadWriteLock.withWriteLock, with a sleep", sleeps: true,
            meanwhile: {
                try scene.startHolder(
                    until: scene.lock.waitingWriter, { place.index = try scene.lock.beginReading() }
                ) {
                    scene.lock.endReading(place.index)
                }
            }, operation: { try scene.lock.withWriteLock { scene.change() } })
    }

    /// The victim waits to read until its deadline.
    static func giveUpReading() throws {
        let scene = try Scene()
        try scene.run(
            "SharedReadWriteLock.withReadLock, in vain", sleeps: true,
            meanwhile: {
                try scene.startHolder(until: nil, { _ = try scene.lock.beginWriting() }) { scene.lock.endWriting(writerDied: false) }
            }, operation: { _ = try scene.lock.withReadLock(timeout: .milliseconds(5)) {} })
    }

    /// The victim waits to write until its deadline, for the readers.
    static func giveUpWriting() throws {
        let scene = try Scene()
        let place = Place()
        try scene.run(
            "SharedReadWriteLock.withWriteLock, in vain", sleeps: true,
            meanwhile: {
                try scene.startHolder(until: nil, { place.index = try scene.lock.beginReading() }) {
                    scene.lock.endReading(place.index)
                }
            }, operation: { _ = try scene.lock.withWriteLock(timeout: .milliseconds(5)) { scene.change() } })
    }

    /// What a task does that waits to read.
    static func readAsTask() throws {
        let scene = try Scene()
        try scene.run(
            "SharedReadWriteLock.async.withReadLock",
            operation: {
                guard let party = scene.lock.parties.join(scene.lock) else { return }
                _ = scene.lock.parties.tryToRead(scene.lock, party)
                scene.lock.parties.leave(scene.lock, party)
            })
    }

    /// What a task's threads do: the one that waits to write, and the one that writes.
    static func writeAsTask() throws {
        let scene = try Scene()
        try scene.run(
            "SharedReadWriteLock.async.withWriteLock",
            operation: {
                _ = try scene.lock.beginWriting()
                scene.lock.giveToProcess()
                scene.lock.takeFromProcess()
                try scene.lock.writing(afterDeath: false) { scene.change() }
            })
    }

    private final class Place: @unchecked Sendable {
        // Unchecked: one thread's.
        var index = 0
    }

    /// A lock, two numbers that writers keep equal, and a thread that uses the lock beside the victim.
    private final class Scene: @unchecked Sendable {
        // Unchecked: used by one thread at a time, but for what is atomic or behind the lock.
        let arena: Arena
        let lock: SharedReadWriteLock
        private let numbers: UnsafeMutablePointer<Atomic<UInt64>>
        private let work = HostLock()
        private var job: (@Sendable () throws -> Void)?
        private var hasThread = false
        private let isOtherDone = Atomic<Bool>(true)
        private let isHeld = Atomic<Bool>(false)
        private let isTooLate = Atomic<Bool>(false)

        init() throws {
            arena = try Arena.current()
            lock = try SharedReadWriteLock(spinning: 0)
            numbers = arena.word(try arena.allocate(16))
            // So many that want a processor that nobody keeps one while it is in a queue, either.
            for slot in 64..<512 { RunnableProcesses.add(ProcessIdentity(slot: slot, generation: 0), in: arena) }
        }

        func change() {
            for index in 0..<2 { numbers[index].wrappingAdd(1, ordering: .sequentiallyConsistent) }
        }

        func repair() { numbers[1].store(numbers[0].load(ordering: .sequentiallyConsistent), ordering: .sequentiallyConsistent) }

        func run(
            _ name: String, sleeps: Bool = false, before: @escaping () throws -> Void = {},
            meanwhile: @escaping () throws -> Void = {}, operation: @escaping () throws -> Void
        ) throws {
            // The first use of all that a victim uses is not part of its path.
            try before()
            try meanwhile()
            try operation()
            isTooLate.store(true, ordering: .sequentiallyConsistent)
            try wait(for: "the first use does not end") { isDone }
            try Execution(
                name: name, arena: arena, inheritsHandles: true,
                before: {
                    _ = ThreadRecords.currentToken(in: self.arena)
                    _ = ProcessToken.current(in: self.arena)
                    try before()
                }, meanwhile: meanwhile, operation: operation, check: { _ in try self.check() },
                // One that sleeps goes round its loop as often as the debugger's pace and another thread's have it: many of its steps are these.
                samples: sleeps ? 40 : 100
            ).run()
        }

        /// A thread that uses the lock, and sleeps in `queue` until the victim has let go.
        func startSleeper(in queue: WaitQueue, _ body: @escaping @Sendable () throws -> Void) throws {
            try start(body)
            try wait(for: "the thread that was to sleep does not") { isDone || isSleeping(in: queue) }
        }

        /// A thread that has the lock when the victim comes, and lets go when the victim sleeps in `queue`, or has died.
        func startHolder(
            until queue: WaitQueue?, _ begin: @escaping @Sendable () throws -> Void, _ end: @escaping @Sendable () -> Void
        ) throws {
            isHeld.store(false, ordering: .sequentiallyConsistent)
            isTooLate.store(false, ordering: .sequentiallyConsistent)
            try start {
                try begin()
                self.isHeld.store(true, ordering: .sequentiallyConsistent)
                while !self.isTooLate.load(ordering: .sequentiallyConsistent), queue.map({ !self.isSleeping(in: $0) }) ?? true {
                    usleep(50)
                }
                end()
            }
            try wait(for: "the lock is not to be had") { isHeld.load(ordering: .sequentiallyConsistent) }
        }

        /// Has the thread beside the victim call `body`. It is always the same: another one would be another reader, in another place.
        private func start(_ body: @escaping @Sendable () throws -> Void) throws {
            isOtherDone.store(false, ordering: .sequentiallyConsistent)
            work.withLock { job = body }
            if hasThread { return }
            hasThread = true
            try startThread(name: "beside") {
                while true {
                    let next = self.work.withLock {
                        defer { self.job = nil }
                        return self.job
                    }
                    guard let next else {
                        usleep(50)
                        continue
                    }
                    do { try next() } catch { print("beside the victim: \(error)") }
                    self.isOtherDone.store(true, ordering: .sequentiallyConsistent)
                }
            }
        }

        private func check() throws {
            isTooLate.store(true, ordering: .sequentiallyConsistent)
            try wait(for: "who waited beside the victim waits on") { isDone }
            guard let isAfterDeath = try lock.beginWriting(until: Deadline(after: .seconds(20))) else {
                throw Laboratory.Failure(description: "the lock is not to be had")
            }
            let found = (0..<2).map { numbers[$0].load(ordering: .sequentiallyConsistent) }
            if found[0] != found[1], !isAfterDeath { throw Laboratory.Failure(description: "\(found), and no word of a death") }
            repair()
            lock.endWriting(writerDied: false)
            try requireEqual(lock.writersWord, 0)
            try requireEqual(lock.places.areFree, true)
            for queue in [lock.waitingReaders, lock.waitingWriter] { try requireEqual(entries(of: queue).count { $0 != .free }, 0) }
        }

        private var isDone: Bool { isOtherDone.load(ordering: .sequentiallyConsistent) }

        private func entries(of queue: WaitQueue) -> [WaitEntry] {
            (0..<WaitQueue.capacity).map { WaitEntryPlace(queue.offset + WaitQueue.entries + 8 * $0, in: arena).load() }
        }

        private func isSleeping(in queue: WaitQueue) -> Bool { entries(of: queue).contains { $0 != .free && $0.phase == .asleep } }

        private func wait(for failure: String, _ condition: () -> Bool) throws {
            let deadline = Deadline(after: .seconds(20))
            while !condition() {
                if deadline.hasPassed { throw Laboratory.Failure(description: failure) }
                usleep(50)
            }
        }
    }
}
