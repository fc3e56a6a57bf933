import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// Events between processes.
    @Suite struct SharedEventTests {
        @Test(arguments: StartMethod.all) func whoWaitsIsTold(method: StartMethod) throws {
            let event = try SharedEvent()
            #expect(!event.isSet)
            #expect(try !event.wait(timeout: .milliseconds(10)))
            let begun = try SharedValue(0)
            let children = (0..<3).map { _ in
                ChildProcess(event, begun, configuration: .init(method)) { (event: SharedEvent, begun: SharedValue<Int>) in
                    begun.withLock { $0 += 1 }
                    try event.wait()
                    return event.isSet
                }
            }
            for child in children { try child.start() }
            #expect(eventually { begun.value == 3 })
            try event.set()
            for child in children { #expect(try child.result()) }
            try event.wait()
            try event.set()
            #expect(try event.wait(timeout: .zero))
            try event.clear()
            #expect(!event.isSet)
            #expect(try !event.wait(timeout: .zero))
        }

        /// Set and cleared at once: who waited when it was set returns all the same.
        @Test func aPulseIsEnough() throws {
            let event = try SharedEvent()
            let turns = try SharedValue(0)
            let children = (0..<2).map { _ in
                ChildProcess(event, turns) { (event: SharedEvent, turns: SharedValue<Int>) in
                    for _ in 0..<300 {
                        turns.withLock { $0 += 1 }
                        try event.wait()
                    }
                }
            }
            for child in children { try child.start() }
            // Those that have not begun to wait when it is set wait for the next time; nobody misses one for which it waits.
            while try children.contains(where: { try !$0.join(timeout: .zero) }) {
                try event.set()
                try event.clear()
                usleep(100)
            }
            for child in children { try child.result() }
            #expect(turns.value == 600)
        }

        @Test func whoSetsItAndDiesHasToldAll() throws {
            let event = try SharedEvent()
            let waiter = ChildProcess(event) { (event: SharedEvent) in try event.wait() }
            try waiter.start()
            let setter = ChildProcess(event) { (event: SharedEvent) in
                try event.set()
                _ = die(.killed)
            }
            try setter.start()
            try waiter.result()
            #expect(throws: WorkerTerminated.self) { try setter.result() }
            #expect(event.isSet)
        }
    }
}
