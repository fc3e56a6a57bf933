import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// What programs that host workers leave behind, and what they share with them: each test runs such a program.
    @Suite struct HostTests {
        /// What a scenario of the fixture prints before it ends by itself.
        private func output(of scenario: String) throws -> [String] {
            let program = try Program("HostFixture", scenario)
            let lines = program.readRest()
            #expect(program.wait() == 0)
            #expect(eventually { program.family.isEmpty }, "\(program.family)")
            return lines
        }

        // MARK: Its end

        @Test(arguments: [SIGKILL, SIGTERM, SIGHUP, SIGSEGV]) func killedHostLeavesNothing(signal: Int32) throws {
            let program = try Program("HostFixture", "hosts-of-everything")
            #expect(program.readLine() == "ready")
            #expect(program.family.count > 10)
            #expect(eventually { program.family.contains(where: \.isSpare) }, "one waits, too")
            program.send(signal)
            #expect(program.wait() == -signal)
            #expect(eventually { program.family.isEmpty }, "\(program.family)")
        }

        @Test func controlCLeavesNothing() throws {
            let program = try Program("HostFixture", "hosts-of-everything")
            #expect(program.readLine() == "ready")
            program.pressControlC()
            #expect(program.wait() == -SIGINT)
            #expect(eventually { program.family.isEmpty }, "\(program.family)")
        }

        @Test(arguments: ["trap", "exit", "return", "throw"]) func hostThatEndsLeavesNothing(how: String) throws {
            let program = try Program("HostFixture", "hosts-of-everything", how)
            #expect(program.readLine() == "ready")
            let code = program.wait()
            switch how {
            case "exit": #expect(code == 3)
            case "return": #expect(code == 0)
            default: #expect(code < 0)
            }
            #expect(eventually { program.family.isEmpty }, "\(program.family)")
        }

        @Test func normalExitEndsAnOpenPool() throws {
            try #expect(output(of: "open-pool") == ["ready"])
        }

        @Test func droppedPoolCancels() throws {
            try #expect(output(of: "dropped-pool") == ["CancellationError", "CancellationError"])
        }

        @Test func exitWaitsForWorkThatWasShutDown() throws {
            let lines = try output(of: "work-left")
            #expect(lines.contains("main ends"))
            #expect(Set(lines.filter { $0.hasPrefix("done") }) == Set((0..<10).map { "done \($0)" }))
        }

        // MARK: Its life

        @Test func hostThatReapsEverything() throws {
            try #expect(output(of: "reaps-everything") == ["9900", "exited with code 3", "7", "8", "forked", "9", "joined"])
        }

        @Test func initialisersRunBeforeWork() throws {
            try #expect(output(of: "initialised") == ["42", "42", "42"])
        }

        @Test func workersSeeThreeDescriptorsOfTheHost() throws {
            #expect(
                try output(of: "descriptors") == [
                    "forkServer [] [0, 1, 2]", "forkServer [] [0, 1, 2]", "spawn [] [0, 1, 2]", "spawn [] [0, 1, 2]",
                ])
        }

        @Test func workersPrintInOrder() throws {
            try #expect(output(of: "prints") == ["first", "second", "third"])
        }

        @Test func topLevelCodeRunsOnce() throws {
            let program = try Program("TopLevelFixture")
            #expect(program.readRest() == ["main runs", "42", "[2, 4, 6]"])
            #expect(program.wait() == 0)
        }

        @Test(arguments: ["churn", "deaths"]) func nothingAccumulates(scenario: String) throws {
            #expect(try output(of: scenario) == ["nothing"])
        }
    }
}
