import CBaselines
import Glibc
import TestSupport
import Testing

/// The queue in C that the library's is compared with: it checks what came out by itself, and has to be right about it.
@Suite(.watchdog(seconds: 60)) struct QueueBaselineTests {
    @Test(arguments: [(1, 1, 1), (1, 1, 16), (2, 2, 1), (1, 3, 1024)]) func everythingComesOut(
        putters: Int32, getters: Int32, capacity: UInt64
    ) throws {
        let crew = try #require(cb_crew_start([Int32](repeating: -1, count: 4), 4))
        defer { cb_crew_stop(crew) }
        for _ in 0..<3 {
            var length: UInt64 = 0
            #expect(cb_crew_queue(crew, putters, getters, capacity, 300, &length) == 0)
            #expect(length > 0)
        }
    }

    @Test func whatCannotBeIsRefused() throws {
        let crew = try #require(cb_crew_start([-1, -1], 2))
        defer { cb_crew_stop(crew) }
        var length: UInt64 = 0
        // No getters; no room; more than there is; more members than there are.
        for (putters, getters, capacity) in [(1, 0, 1), (1, 1, 0), (1, 1, 1025), (2, 2, 1)] as [(Int32, Int32, UInt64)] {
            #expect(cb_crew_queue(crew, putters, getters, capacity, 4, &length) == -1 && errno == EINVAL)
        }
        // And it goes on.
        #expect(cb_crew_queue(crew, 1, 1, 4, 100, &length) == 0)
    }
}
