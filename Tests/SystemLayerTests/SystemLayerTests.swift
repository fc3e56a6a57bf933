import Glibc
import Synchronization
import SystemLayer
import TestSupport
import Testing

@Suite(.watchdog(seconds: 60)) struct DeadlineTests {
    @Test func durationsInNanoseconds() {
        #expect(Duration.seconds(1).nanoseconds == 1_000_000_000)
        #expect(Duration.nanoseconds(7).nanoseconds == 7)
        #expect(Duration.zero.nanoseconds == 0)
        #expect(Duration.seconds(-5).nanoseconds == 0, "the past is now")
        #expect(Duration.nanoseconds(-1).nanoseconds == 0)
        #expect(Duration.seconds(Int64.max).nanoseconds == .max, "what does not fit is for ever")
    }

    @Test func deadlines() {
        #expect(Deadline(after: nil).isNever)
        #expect(Deadline.never.remaining == -1)
        #expect(!Deadline.never.hasPassed)
        #expect(Deadline(after: .zero).hasPassed)
        #expect(Deadline(after: .zero).remaining == 0)
        #expect(!Deadline(after: .seconds(1000)).hasPassed)
        #expect(!Deadline(after: .seconds(Int64.max)).hasPassed)
        #expect(Deadline(after: .seconds(1)) < Deadline(after: .seconds(1000)))
    }
}

@Suite(.watchdog(seconds: 60)) struct HostLockTests {
    private final class Number: @unchecked Sendable { var value = 0 }

    @Test func oneThreadAtATime() throws {
        let lock = HostLock()
        let number = Number()
        let ended = Ended()
        for _ in 0..<4 {
            try startThread(name: "count") {
                for _ in 0..<20_000 { lock.withLock { number.value += 1 } }
                ended.count.wrappingAdd(1, ordering: .releasing)
            }
        }
        #expect(eventually { ended.count.load(ordering: .acquiring) == 4 })
        #expect(number.value == 80_000)
    }

    private final class Ended: Sendable { let count = Atomic<Int>(0) }
}

/// Children by their descriptors. Each test forks, and its children do nothing that a copy of a threaded process may not do.
@Suite(.watchdog(seconds: 60)) struct ProcessDescriptorTests {
    /// Forks a child that does `body`, which must not return.
    private func child(_ body: () -> Never) throws -> ProcessDescriptor {
        guard let child = try forkProcess() else { body() }
        return child
    }

    @Test func exitCode() throws {
        #expect(try child { _exit(7) }.reap(wait: true) == .exited(7))
    }

    @Test func signal() throws {
        let stopped = try child { while true { pause() } }
        #expect(stopped.reap(wait: false) == nil)
        #expect(!stopped.waitForEnd(milliseconds: 0))
        stopped.send(signal: SIGTERM)
        #expect(stopped.waitForEnd(milliseconds: -1))
        #expect(stopped.reap(wait: true) == .signaled(SIGTERM))
        // Its number may be another's now: nothing must happen.
        stopped.send(signal: SIGKILL)
        #expect(stopped.reap(wait: true) == nil)
    }

    @Test func childThatSomebodyElseHasReaped() throws {
        let ended = try child { _exit(0) }
        #expect(waitpid(ended.processIdentifier, nil, 0) == ended.processIdentifier)
        #expect(ended.waitForEnd(milliseconds: -1))
        #expect(ended.reap(wait: true) == nil)
    }

    @Test func noSignalIsBlockedInAChild() throws {
        let blocked = try child {
            var mask = sigset_t()
            sigprocmask(SIG_SETMASK, nil, &mask)
            _exit((1..<32).contains { sigismember(&mask, $0) == 1 } ? 1 : 0)
        }
        #expect(blocked.reap(wait: true) == .exited(0))
    }
}
