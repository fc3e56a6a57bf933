import Glibc
import Synchronization
import SystemLayer

@testable import SharedState

/// Deaths while a shared value's lock is taken, held, and released.
enum LockExperiments {
    /// Forty bytes that say themselves whether they belong together.
    private struct Fields: BitwiseCopyable, Sendable, Equatable {
        var a: UInt64
        var b: UInt64
        var c: UInt64
        var d: UInt64
        var e: UInt64

        init(_ n: UInt64) { (a, b, c, d, e) = (n, n &* 3, n &* 5, n &* 7, n &* 11) }
    }

    /// The first lock that a thread takes makes it a record.
    static func firstLock() throws { try killInLock("SharedValue.withLock, a thread's first") { _ in } }

    static func lock() throws { try killInLock("SharedValue.withLock") { $0.withLock { _ in } } }

    /// A value that is one word has no second copy.
    static func lockOfWord() throws {
        try killInLock("SharedValue.withLock, of a word", { Int64($0) }) { $0.withLock { _ in } }
    }

    /// A lock whose last owner has died holding it is taken on the slow path.
    static func lockHandedOn() throws {
        try killInLock("SharedValue.withLock, handed on") { shared in
            shared.withLock { _ in }
            let word = try Arena.current().word32(Int(shared.handle) + ObjectBlock.payload)
            word.pointee.store(OwnerLock.ownerDied, ordering: .releasing)
        }
    }

    /// What a thread's record has no place for is listed in another, which it takes and gives back.
    static func lockBeyondPlaces() throws {
        let arena = try Arena.current()
        let others = try (0..<ThreadRecords.listed).map { _ in try SharedValue(0) }
        let locks = others.map { value in
            let offset = Int(value.handle) + ObjectBlock.payload
            return OwnerLock(word: arena.word32(offset), offset: UInt64(offset))
        }
        try killInLock(
            "SharedValue.withLock, a thread's seventh", { Fields($0) },
            before: { _ in for lock in locks { lock.lock(in: arena) } },
            check: {
                for lock in locks {
                    try requireEqual(lock.word.pointee.load(ordering: .acquiring), OwnerLock.ownerDied)
                    lock.word.pointee.store(0, ordering: .releasing)
                }
            },
            undo: { for lock in locks { lock.unlock() } })
    }

    private static func killInLock(_ name: String, before: @escaping (SharedValue<Fields>) throws -> Void) throws {
        try killInLock(name, { Fields($0) }, before: before)
    }

    private static func killInLock<T: BitwiseCopyable & Sendable & Equatable>(
        _ name: String, _ make: @escaping (UInt64) -> T, before: @escaping (SharedValue<T>) throws -> Void,
        check: @escaping () throws -> Void = {}, undo: @escaping () throws -> Void = {}
    ) throws {
        let arena = try Arena.current()
        let shared = try SharedValue(make(0))
        let word = arena.word32(Int(shared.handle) + ObjectBlock.payload)
        let census = Census(arena)
        var n: UInt64 = 0
        try Execution(
            name: name, arena: arena, inheritsHandles: true, prepare: { _ in n += 1 }, before: { try before(shared) },
            operation: { shared.withLock { $0 = make(n) } },
            check: { _ in
                // Not held, so that whoever wants it gets it without having to find out about the death.
                try requireEqual(word.pointee.load(ordering: .acquiring) & ~OwnerLock.ownerDied, 0)
                let value = shared.value
                guard value == make(n) || value == make(n - 1) else {
                    throw Laboratory.Failure(description: "\(value), which is neither the old value, \(n - 1), nor the new one")
                }
                shared.withLock { $0 = make(n) }
                try requireEqual(shared.value, make(n))
                try requireEqual(word.pointee.load(ordering: .acquiring), 0)
                try check()
                try census.requireUnchanged(in: arena)
            },
            undo: undo
        ).run()
    }

    /// A process that sleeps until the victim, the lock's owner, lets go of it.
    static func unlock() throws {
        let scene = try Sleeping()
        try Execution(
            name: "OwnerLock.unlock, with a sleeper", arena: scene.arena, inheritsHandles: true,
            before: { scene.lock.lock(in: scene.arena) }, meanwhile: { try scene.fallAsleep() },
            operation: { scene.lock.unlock() }, check: { _ in try scene.requireAwake() },
            // Its first use is another path: the dynamic linker has to find the function.
            undo: { scene.lock.announcement.wake() }
        ).run()
    }

    /// A process that sleeps, while the victim, which slept with it and has been woken in its stead, takes the lock.
    static func lockHavingSlept() throws {
        let scene = try Sleeping()
        try Execution(
            name: "OwnerLock.lock, by who was woken", arena: scene.arena, inheritsHandles: true,
            before: {
                _ = ThreadRecords.currentToken(in: scene.arena)
                // It has been waiting for the lock.
                ThreadRecords.enter(scene.lock.offset)
            },
            meanwhile: {
                scene.lock.lock(in: scene.arena)
                try scene.fallAsleep()
                // Released; the one sleeper that this wakes is the victim.
                scene.lock.word.pointee.store(0, ordering: .releasing)
                scene.lock.announcement.pointee.store(0, ordering: .releasing)
                ThreadRecords.leave(scene.lock.offset)
            },
            operation: { scene.lock.lock(in: scene.arena) }, check: { _ in try scene.requireAwake() },
            undo: {
                scene.lock.unlock()
                ThreadRecords.leave(scene.lock.offset)
            }
        ).run()
    }

    /// The same when the sleeper has asked for the lock.
    static func unlockAskedFor() throws {
        let scene = try Sleeping()
        try Execution(
            name: "OwnerLock.unlock, asked for", arena: scene.arena, inheritsHandles: true,
            before: { scene.lock.lock(in: scene.arena) }, meanwhile: { try scene.fallAsleep(asking: true) },
            operation: { scene.lock.unlock() }, check: { _ in try scene.requireAwake() },
            undo: { scene.lock.word.wake() }
        ).run()
    }

    /// A process that sleeps, while the victim, which has asked for the lock, takes what was left to it.
    static func lockAskedFor() throws {
        let scene = try Sleeping()
        let (arena, lock) = (scene.arena, scene.lock)
        try Execution(
            name: "OwnerLock.lock, by who had asked", arena: arena, inheritsHandles: true,
            before: {
                let token = ThreadRecords.currentToken(in: arena)
                ThreadRecords.enter(lock.offset)
                _ = lock.announce(asking: token)
            },
            meanwhile: {
                lock.lock(in: arena)
                try scene.fallAsleep()
                lock.word.pointee.store(OwnerLock.left, ordering: .releasing)
                ThreadRecords.leave(lock.offset)
            },
            operation: {
                var sleeps = 1
                _ = lock.waitAndTake(ThreadRecords.currentToken(in: arena), until: .never, in: arena, &sleeps)
            },
            check: { _ in
                try requireEqual(OwnerLock.asker(lock.announcement.pointee.load(ordering: .acquiring)), 0)
                try scene.requireAwake()
            },
            undo: { lock.unlock() }
        ).run()
    }

    /// A lock, and a process that sleeps until it is free. It does not look again by itself, as a waiter does in case nobody is left to hand the lock on.
    private final class Sleeping {
        let arena: Arena
        let lock: OwnerLock
        private let shared: SharedValue<UInt64>
        private var sleeper: ProcessDescriptor?

        init() throws {
            arena = try Arena.current()
            shared = try SharedValue(0)
            let offset = Int(shared.handle) + ObjectBlock.payload
            lock = OwnerLock(word: arena.word32(offset), offset: UInt64(offset))
        }

        /// - Parameter isAsking: Whether the sleeper asks for the lock. Its token is nobody's.
        func fallAsleep(asking isAsking: Bool = false) throws {
            guard let process = try forkProcess() else {
                alarm(120)
                while true {
                    let (current, announcement, _) = lock.announce(asking: isAsking ? 1 << 29 : 0)
                    if current & ThreadRecords.tokenMask == 0 { _exit(0) }
                    if isAsking { lock.word.wait(while: current) } else { lock.announcement.wait(while: announcement) }
                }
            }
            sleeper = process
            try waitUntilAsleep(process, in: isAsking ? lock.word : lock.announcement)
        }

        func requireAwake() throws {
            guard let sleeper else { return }
            try requireEnd(of: sleeper, "the lock is free, and who waits for it sleeps on")
            try requireEqual(lock.word.pointee.load(ordering: .acquiring) & ThreadRecords.tokenMask, 0)
            lock.word.pointee.store(0, ordering: .releasing)
            lock.announcement.pointee.store(0, ordering: .releasing)
        }
    }
}

/// Returns when `process` sleeps on `word`: when a wake-up with nobody to wake would be answered by 0.
func waitUntilAsleep(_ process: ProcessDescriptor, in word: FutexWord) throws {
    let path = "/proc/\(process.processIdentifier)/syscall"
    let number = "202 0x\(String(UInt(bitPattern: word), radix: 16)) "
    let deadline = Deadline(after: .seconds(60))
    while !deadline.hasPassed {
        var buffer = [UInt8](repeating: 0, count: 256)
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { break }
        let count = read(file, &buffer, buffer.count)
        close(file)
        if count > 0, String(decoding: buffer[..<count], as: UTF8.self).hasPrefix(number) { return }
        sched_yield()
    }
    process.send(signal: SIGKILL)
    _ = process.reap(wait: true)
    throw Laboratory.Failure(description: "the process that was to sleep does not")
}

/// Fails unless `process` ends by itself, long before the watchdog's time but with no other limit.
func requireEnd(of process: ProcessDescriptor, _ failure: String) throws {
    let hasEnded = process.waitForEnd(milliseconds: 10_000)
    if !hasEnded { process.send(signal: SIGKILL) }
    let status = process.reap(wait: true)
    guard hasEnded, status == .exited(0) else {
        throw Laboratory.Failure(description: hasEnded ? "the sleeper ended with \(status.map { "\($0)" } ?? "?")" : failure)
    }
}
