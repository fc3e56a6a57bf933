import Glibc
import Multiprocessing
import SharedState
import TestSupport
import Testing

extension PublicInterface {
    /// How a lock is shared among those that want nothing else.
    @Suite struct LockFairnessTests {
        /// Nobody goes without: in a second each has a tenth of its share, whether the lock is held for a moment or for long, and wanted again at once.
        @Test(arguments: [2, 4, 8], [0, 3, 20, 300]) func nobodyStarves(contenders: Int, microsecondsHeld: Int) throws {
            let counts = try share(contenders, microsecondsHeld)
            let least = try #require(counts.min())
            #expect(least * contenders * 10 >= counts.reduce(0, +), "of \(counts) turns in a second one had less than a tenth of its share")
        }

        /// Nor does a task, which has a turn in another thread than the one that waits for it.
        @Test(arguments: [1, 3, 7], [20, 300]) func noTaskStarves(others: Int, microsecondsHeld: Int) async throws {
            let contest = try Contest(microsecondsHeld: microsecondsHeld)
            try await expectShare(in: contest, others) { try await contest.lock.async.withLock { contest.hold() } }
        }

        /// Nor one that wants it again after a condition.
        @Test(arguments: [1, 3, 7]) func noTaskAtAConditionStarves(others: Int) async throws {
            let contest = try Contest(microsecondsHeld: 300)
            let condition = try SharedCondition(lock: contest.lock)
            try await expectShare(in: contest, others) {
                try await condition.async.withLock(when: { true }) { contest.hold() }
            }
        }

        /// Expects that the calling task, at `turn` again and again, and `others` each have a tenth of their share in a second.
        private func expectShare(in contest: Contest, _ others: Int, _ turn: () async throws -> Void) async throws {
            let children = try contest.start(others)
            contest.begin()
            let end = ContinuousClock.now + .seconds(1)
            var count = 0
            while ContinuousClock.now < end {
                try await turn()
                count += 1
            }
            contest.isOver.store(true)
            let counts = try [count] + children.map { try $0.result() }
            let least = try #require(counts.min())
            #expect(
                least * counts.count * 10 >= counts.reduce(0, +),
                "of \(counts) turns, the task's first, one had less than a tenth of its share")
        }

        /// How often each of them has had the lock in a second.
        private func share(_ contenders: Int, _ microsecondsHeld: Int) throws -> [Int] {
            let contest = try Contest(microsecondsHeld: microsecondsHeld)
            let children = try contest.start(contenders)
            contest.begin()
            // It takes some time to see how it is shared: a second, or longer where other things keep the processors from them, which is no fault of the lock.
            usleep(1_000_000)
            let clocks = children.compactMap { $0.processIdentifier.flatMap(clock(of:)) }
            _ = eventually(within: .seconds(30)) { clocks.reduce(0) { $0 + seconds($1) } >= 0.5 }
            contest.isOver.store(true)
            return try children.map { try $0.result() }
        }

        /// The clock that goes while a process has a processor.
        private func clock(of process: Int32) -> clockid_t? {
            var clock = clockid_t()
            return clock_getcpuclockid(process, &clock) == 0 ? clock : nil
        }

        private func seconds(_ clock: clockid_t) -> Double {
            var time = timespec()
            return clock_gettime(clock, &time) == 0 ? Double(time.tv_sec) + Double(time.tv_nsec) / 1e9 : 0
        }
    }
}

/// Those that want one lock and nothing else.
private struct Contest {
    let lock: SharedLock
    let microsecondsHeld: Int
    private let ready: SharedAtomic<Int>
    let isOver: SharedAtomic<Bool>

    init(microsecondsHeld: Int) throws {
        self.microsecondsHeld = microsecondsHeld
        (lock, ready, isOver) = (try SharedLock(), try SharedAtomic(0), try SharedAtomic(false))
    }

    /// So many processes, each of which returns how often it has had the lock.
    func start(_ count: Int) throws -> [ChildProcess<Int>] {
        let children = (0..<count).map { _ in ChildProcess(configuration: .init(.fork)) { try turns() } }
        for child in children { try child.start() }
        // None has the lock for itself before the last has come.
        try #require(eventually { ready.load() == count })
        return children
    }

    func begin() { ready.store(-1) }

    private func turns() throws -> Int {
        ready.add(1)
        while ready.load() >= 0 { usleep(100) }
        var count = 0
        while !isOver.load() {
            try lock.withLock { hold() }
            count += 1
        }
        return count
    }

    func hold() {
        let end = ContinuousClock.now + .microseconds(microsecondsHeld)
        while microsecondsHeld > 0, ContinuousClock.now < end {}
    }
}
