import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// Semaphores between processes.
    @Suite struct SharedSemaphoreTests {
        @Test func permitsAreCounted() throws {
            let semaphore = try SharedSemaphore(2, bound: 3)
            #expect(try semaphore.tryAcquire())
            try semaphore.acquire()
            #expect(try !semaphore.tryAcquire())
            #expect(try !semaphore.acquire(timeout: .milliseconds(10)))
            #expect(try !semaphore.acquire(timeout: .zero))
            #expect(semaphore.value == 0)
            try semaphore.release(3)
            let error = try errorThrown(SharedMemoryError.self) { try semaphore.release() }
            #expect(error.description.contains("bound"))
            #expect(throws: SharedMemoryError.self) { try semaphore.release(-1) }
            #expect(semaphore.value == 3)
            #expect(throws: Refusal.self) { try semaphore.withPermit { throw Refusal(reason: "no") } }
            #expect(semaphore.value == 3)
        }

        @Test func impossibleOnesAreRefused() throws {
            #expect(throws: SharedMemoryError.self) { try SharedSemaphore(-1) }
            #expect(throws: SharedMemoryError.self) { try SharedSemaphore(3, bound: 2) }
            #expect(throws: SharedMemoryError.self) { try SharedSemaphore(0, bound: 0) }
            #expect(throws: SharedMemoryError.self) { try SharedSemaphore(Int.max).release() }
        }

        @Test(arguments: StartMethod.all) func neverMoreThanThereArePermits(method: StartMethod) throws {
            let semaphore = try SharedSemaphore(2)
            let inside = try SharedValue(0)
            let most = try SharedValue(0)
            let body = { @Sendable (semaphore: SharedSemaphore, inside: SharedValue<Int>, most: SharedValue<Int>) in
                for _ in 0..<2_000 {
                    try semaphore.acquire()
                    let now = inside.withLock {
                        $0 += 1
                        return $0
                    }
                    most.withLock { $0 = max($0, now) }
                    inside.withLock { $0 -= 1 }
                    try semaphore.release()
                }
            }
            let children = (0..<4).map { _ in
                ChildProcess(semaphore, inside, most, configuration: .init(method), body: body)
            }
            for child in children { try child.start() }
            try body(semaphore, inside, most)
            for child in children { try child.result() }
            #expect(most.value <= 2)
            #expect(semaphore.value == 2)
        }

        /// One that only waits as long as others work: each release wakes somebody, or it would wait for ever.
        @Test func aReleaseWakes() throws {
            let there = try SharedSemaphore(0)
            let back = try SharedSemaphore(0)
            let child = ChildProcess(there, back) { (there: SharedSemaphore, back: SharedSemaphore) in
                for _ in 0..<5_000 {
                    try there.acquire()
                    try back.release()
                }
            }
            try child.start()
            for _ in 0..<5_000 {
                try there.release()
                try back.acquire()
            }
            try child.result()
        }

        /// Who gives a permit back and wants the next at once does not leave the others without.
        @Test(arguments: [0, 300]) func everybodyGetsAShare(microsecondsHeld: Int) throws {
            let semaphore = try SharedSemaphore(1)
            let begun = try SharedValue(0)
            let isOver = try SharedEvent()
            let children = (0..<3).map { _ in
                ChildProcess(semaphore, begun, isOver, microsecondsHeld) {
                    (semaphore: SharedSemaphore, begun: SharedValue<Int>, isOver: SharedEvent, microsecondsHeld: Int) in
                    begun.withLock { $0 += 1 }
                    var count = 0
                    while !isOver.isSet {
                        try semaphore.withPermit {
                            let end = ContinuousClock.now + .microseconds(microsecondsHeld)
                            while ContinuousClock.now < end {}
                        }
                        count += 1
                    }
                    return count
                }
            }
            for child in children { try child.start() }
            #expect(eventually { begun.value == 3 })
            // It takes some time to see how it is shared.
            usleep(1_000_000)
            try isOver.set()
            let counts = try children.map { try $0.result() }
            #expect(counts.allSatisfy { $0 * 30 > counts.reduce(0, +) }, "\(counts)")
        }

        /// Those that wait are killed, at whatever they are doing; who is left gets every permit.
        @Test func killedWaitersSwallowNothing() throws {
            let semaphore = try SharedSemaphore(0)
            for round in 0..<20 {
                let begun = try SharedValue(0)
                let taken = try SharedValue(0)
                let victims = (0..<3).map { _ in
                    ChildProcess(semaphore, begun) { (semaphore: SharedSemaphore, begun: SharedValue<Int>) in
                        begun.withLock { $0 += 1 }
                        try semaphore.acquire()
                        // Not before it is killed, with a permit or without.
                        sleepForEver()
                    }
                }
                let survivor = ChildProcess(semaphore, begun, taken) {
                    (semaphore: SharedSemaphore, begun: SharedValue<Int>, taken: SharedValue<Int>) in
                    while begun.value < 3 { usleep(100) }
                    begun.withLock { $0 += 1 }
                    for _ in 0..<5 {
                        try semaphore.acquire()
                        taken.withLock { $0 += 1 }
                    }
                }
                for child in victims + [survivor] { try child.start() }
                #expect(eventually { begun.value == 4 })
                usleep(UInt32(round) * 50)
                // Notified, and killed at the same moment.
                onThreads(2) { index in
                    if index == 0 { for victim in victims { victim.kill() } } else { for _ in 0..<3 { try? semaphore.release() } }
                }
                for victim in victims { #expect(throws: WorkerTerminated.self) { try victim.result() } }
                // What victims have taken is gone with them; as much as the survivor needs is released again.
                while try !survivor.join(timeout: .milliseconds(20)) { if semaphore.value == 0 { try semaphore.release() } }
                try survivor.result()
                #expect(taken.value == 5)
                while try semaphore.tryAcquire() {}
            }
        }

        @Test func itIsReturnedAndKept() throws {
            try withPool(processes: 1) { pool in
                let semaphore = try pool.apply({ try SharedSemaphore(7, bound: 9) })
                #expect(semaphore.value == 7)
                try pool.apply({ (semaphore: SharedSemaphore) in try semaphore.acquire() }, semaphore)
                #expect(semaphore.value == 6)
            }
        }
    }
}
