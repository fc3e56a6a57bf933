import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// What a worker finds around it, and what is refused before there is one.
    @Suite struct SurroundingsTests {
        private static let directory: @Sendable () -> String = {
            guard let path = getcwd(nil, 0) else { return "" }
            defer { free(path) }
            return String(cString: path)
        }

        @Test(arguments: StartMethod.all) func workersAreWhereTheirHostIs(method: StartMethod) throws {
            let before = Self.directory()
            let child = ChildProcess(configuration: .init(method), body: Self.directory)
            try child.start()
            try #expect(child.result() == before)
            defer { chdir(before) }
            chdir("/usr")
            let moved = ChildProcess(configuration: .init(method), body: Self.directory)
            try moved.start()
            try #expect(moved.result() == "/usr")
            try withPool(processes: 1, configuration: .init(method)) { pool in
                chdir("/")
                try #expect(pool.apply(Self.directory) == "/usr", "where the pool was made")
                #expect(throws: WorkerTerminated.self) { try pool.apply(die, .killed) }
                try #expect(pool.apply(Self.directory) == "/usr", "a replacement too")
            }
        }

        @Test func unknownNodesAreRefusedAtCreation() throws {
            var configuration = WorkerConfiguration()
            configuration.memoryPolicy = .bind(9999)
            #expect(throws: PlacementError.self) { try Pool(processes: 1, configuration: configuration) }
            #expect(throws: PlacementError.self) { try ChildProcess(doNothing, configuration: configuration).start() }
            configuration.memoryPolicy = .bind(0)
            try withPool(processes: 1, configuration: configuration) { try #expect($0.apply(double, 4) == 8) }
        }

        @Test(.enabled(if: geteuid() != 0, "root may lower a nice value"), arguments: [StartMethod.forkServer, .spawn])
        func aRefusalInTheWorkerArrivesAsItself(method: StartMethod) throws {
            let child = ChildProcess(doNothing, configuration: .init(method) { $0.niceness = -20 })
            try child.start()
            #expect(throws: PlacementError.self) { try child.result() }
        }
    }
}
