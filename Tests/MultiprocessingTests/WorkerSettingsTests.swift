import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// What a `WorkerConfiguration` does to a process.
    @Suite struct WorkerSettingsTests {
        /// Runs `function` in a process of its own.
        private func run<R: Codable & Sendable>(
            _ method: StartMethod, _ function: @escaping @Sendable () throws -> R, _ change: (inout WorkerConfiguration) -> Void
        ) throws -> R {
            let child = ChildProcess(function, configuration: .init(method, change))
            try child.start()
            return try child.result()
        }

        @Test(arguments: StartMethod.all) func environment(method: StartMethod) throws {
            let value = try run(method, { String(cString: getenv("MP_TEST_SETTING")) }) { $0.environment = ["MP_TEST_SETTING": "a=b c"] }
            #expect(value == "a=b c")
            // What is inherited stays, and the host's own does not change.
            try #expect(run(method, { getenv("PATH") != nil }) { $0.environment = ["MP_TEST_SETTING": "1"] } == (getenv("PATH") != nil))
            #expect(getenv("MP_TEST_SETTING") == nil)
        }

        @Test(arguments: StartMethod.all) func niceness(method: StartMethod) throws {
            let level = try run(method, { getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) }) { $0.niceness = 15 }
            #expect(level == 15)
        }

        @Test(arguments: StartMethod.all) func pinning(method: StartMethod) throws {
            let last = try #require(Machine.current.availableProcessors.last)
            let seen = try run(method, { Machine.current.availableProcessors }) { $0.pinning = .cpus([last]) }
            #expect(seen == [last])
        }

        @Test(arguments: StartMethod.all) func unknownProcessorIsRefused(method: StartMethod) throws {
            #expect(throws: PlacementError.self) { try run(method, { 1 }) { $0.pinning = .cpus([100_000]) } }
            #expect(throws: PlacementError.self) { try Pool(processes: 1, configuration: .init(method) { $0.pinning = .cpus([100_000]) }) }
            #expect(throws: (any Error).self) { try Pool(processes: 1, configuration: .init(method) { $0.pinning = .nodes([100_000]) }) }
        }

        @Test func refusedChildMayBeStartedAgain() throws {
            let child = ChildProcess({ 1 }, configuration: .init(.forkServer) { $0.pinning = .cpus([100_000]) })
            #expect(throws: PlacementError.self) { try child.start() }
            #expect(throws: PlacementError.self) { try child.start() }
            #expect(!child.isAlive)
        }

        @Test func numbersThatMeanNothing() {
            let changes: [(inout WorkerConfiguration) -> Void] = [
                { $0.maxTasksPerWorker = 0 }, { $0.niceness = 20 }, { $0.niceness = -21 }, { $0.taskTimeout = .zero },
                { $0.onWorkerDeath = .retry(attempts: 0) }, { $0.environment = ["": "x"] }, { $0.environment = ["a=b": "x"] },
                { $0.memoryLimit = .bytes(0) },
            ]
            for change in changes {
                #expect(throws: UsageError.self) { try Pool(processes: 1, configuration: .init(.forkServer, change)) }
                #expect(throws: UsageError.self) { try ProcessPoolExecutor(maxWorkers: 1, configuration: .init(.forkServer, change)) }
            }
        }

        @Test func memoryLimitEndsTheTaskThatBreaksIt() throws {
            try withPool(processes: 1, configuration: .init(.forkServer) { $0.memoryLimit = .mebibytes(64) }) { pool in
                let error = try errorThrown(WorkerTerminated.self) {
                    try pool.apply { [UInt8](repeating: 1, count: 512 << 20).count }
                }
                #expect(error.description.contains("memory limit"))
                try #expect(pool.apply { [UInt8](repeating: 1, count: 1 << 20).count } == 1 << 20)
            }
        }
    }
}
