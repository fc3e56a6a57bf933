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

        /// How often each of them has had the lock in a second.
        private func share(_ contenders: Int, _ microsecondsHeld: Int) throws -> [Int] {
            let lock = try SharedLock()
            let begun = try SharedAtomic(0)
            let isOver = try SharedAtomic(false)
            let children = (0..<contenders).map { _ in
                ChildProcess(lock, begun, isOver, microsecondsHeld, configuration: .init(.fork)) {
                    (lock: SharedLock, begun: SharedAtomic<Int>, isOver: SharedAtomic<Bool>, microsecondsHeld: Int) in
                    begun.add(1)
                    // None has it for itself before the last has come.
                    while begun.load() >= 0 { usleep(100) }
                    var count = 0
                    while !isOver.load() {
                        try lock.withLock {
                            let end = ContinuousClock.now + .microseconds(microsecondsHeld)
                            while microsecondsHeld > 0, ContinuousClock.now < end {}
                        }
                        count += 1
                    }
                    return count
                }
            }
            for child in children { try child.start() }
            try #require(eventually { begun.load() == contenders })
            begun.store(-1)
            // It takes some time to see how it is shared: a second, or longer where other things keep the processors from them, which is no fault of the lock.
            usleep(1_000_000)
            let clocks = children.compactMap { $0.processIdentifier.flatMap(clock(of:)) }
            _ = eventually(within: .seconds(30)) { clocks.reduce(0) { $0 + seconds($1) } >= 0.5 }
            isOver.store(true)
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
