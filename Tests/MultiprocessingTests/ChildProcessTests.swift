import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    @Suite struct ChildProcessTests {
        @Test(arguments: StartMethod.all) func resultComesBack(method: StartMethod) throws {
            let child = ChildProcess(greet, "Jeff", 2, configuration: .init(method))
            try child.start()
            try #expect(child.result() == "Hello Jeff, Hello Jeff")
            // And may be asked for again.
            try #expect(child.result() == "Hello Jeff, Hello Jeff")
            #expect(child.status == .exited(0))
            #expect(!child.isAlive)
        }

        @Test(arguments: StartMethod.all) func valueIsAwaited(method: StartMethod) async throws {
            let child = ChildProcess(add, 20, 22, configuration: .init(method))
            try child.start()
            try await #expect(child.value == 42)
        }

        @Test(arguments: StartMethod.all) func runsInAnotherProcess(method: StartMethod) throws {
            let child = ChildProcess(processIdentifier, configuration: .init(method))
            #expect(child.processIdentifier == nil)
            try child.start()
            let pid = try child.result()
            #expect(pid != getpid())
            #expect(child.processIdentifier == pid)
        }

        @Test(arguments: StartMethod.all) func functionWithoutResult(method: StartMethod) throws {
            let flag = try SharedValue<Int>(0)
            let child = ChildProcess(flag, configuration: .init(method)) { (flag: SharedValue<Int>) in flag.value = 1 }
            try child.start()
            try child.join()
            #expect(flag.value == 1)
            let nothing = ChildProcess(doNothing, configuration: .init(method))
            try nothing.start()
            try nothing.result()
        }

        @Test func trailingClosures() throws {
            let one = ChildProcess(100) { (n: Int) in n + 1 }
            let two = ChildProcess { 42 }
            let three = ChildProcess("a", 3, name: "three") { (text: String, n: Int) in String(repeating: text, count: n) }
            for child in [one, two] { try child.start() }
            try three.start()
            try #expect(one.result() == 101)
            try #expect(two.result() == 42)
            try #expect(three.result() == "aaa")
        }

        @Test func functionInVariable() throws {
            let functions: [@Sendable (Int) throws -> Int] = [double, { $0 + 1 }]
            for (function, expected) in zip(functions, [20, 11]) {
                let child = ChildProcess(function, 10)
                try child.start()
                try #expect(child.result() == expected)
            }
        }

        @Test func forkedBodyCapturesAnything() throws {
            final class Plain: @unchecked Sendable { var numbers = [1, 2, 3] }
            let plain = Plain()
            let child = ChildProcess(configuration: .init(.fork)) {
                plain.numbers.append(4); return plain.numbers
            }
            try child.start()
            try #expect(child.result() == [1, 2, 3, 4])
            // It was a copy.
            #expect(plain.numbers == [1, 2, 3])
        }

        @Test(arguments: [StartMethod.forkServer, .spawn]) func capturesAreRefused(method: StartMethod) throws {
            let n = Int.random(in: 0...9)
            let child = ChildProcess(configuration: .init(method)) { n + 1 }
            let error = try errorThrown(TransferError.self) { try child.start() }
            guard case .capturesState(let text) = error else { throw error }
            #expect(text.contains("argument"), "it says how to do it instead")
        }

        // MARK: Errors

        @Test(arguments: StartMethod.all) func codableErrorArrivesAsItself(method: StartMethod) throws {
            let child = ChildProcess(refuse, "no", configuration: .init(method))
            try child.start()
            #expect(throws: Refusal(reason: "no", code: 7)) { try child.result() }
            #expect(child.status != .exited(0))
            guard case .exited? = child.status else { throw LocalTrouble(description: "\(String(describing: child.status))") }
        }

        @Test(arguments: StartMethod.all) func otherErrorArrivesAsText(method: StartMethod) throws {
            let child = ChildProcess(getIntoTrouble, configuration: .init(method))
            try child.start()
            let error = try errorThrown(RemoteError.self) { try child.result() }
            #expect(error.typeName.contains("LocalTrouble"))
            #expect(error.description.contains("the disk is on fire"))
        }

        @Test func joinDoesNotThrowWhatTheBodyThrew() throws {
            let child = ChildProcess(refuse, "no")
            try child.start()
            try child.join()
            #expect(!child.isAlive)
        }

        // MARK: Deaths

        @Test(arguments: StartMethod.all, Death.allCases) func deathIsReported(method: StartMethod, how: Death) throws {
            let child = ChildProcess(die, how, configuration: .init(method))
            try child.start()
            let error = try errorThrown(WorkerTerminated.self) { try child.result() }
            #expect(how.isShown(by: error.status), "\(how): \(error.status)")
            #expect(child.status == error.status)
            #expect(error.processIdentifier == child.processIdentifier)
            #expect(error.description.contains("die"), "it names the function: \(error)")
        }

        @Test func signals() throws {
            for (send, signal) in [
                ({ $0.interrupt() }, SIGINT), ({ $0.terminate() }, SIGTERM), ({ $0.kill() }, SIGKILL),
            ] as [((ChildProcess<Void>) -> Void, Int32)] {
                let child = ChildProcess(sleepForEver)
                send(child)
                try child.start()
                #expect(child.isAlive)
                #expect(child.status == nil)
                send(child)
                try child.join()
                #expect(child.status == .signaled(signal))
                // Without effect, and above all without reaching somebody else.
                send(child)
            }
        }

        @Test func joinWithTimeout() throws {
            let child = ChildProcess(sleepForEver)
            try child.start()
            try #expect(!child.join(timeout: .milliseconds(20)))
            try #expect(!child.join(timeout: .zero))
            child.kill()
            try #expect(child.join(timeout: .seconds(60)))
            try #expect(child.join(timeout: .zero))
        }

        // MARK: Wrong use

        @Test func secondStartThrows() throws {
            let child = ChildProcess { 1 }
            try child.start()
            #expect(throws: UsageError.self) { try child.start() }
            try #expect(child.result() == 1)
            #expect(throws: UsageError.self) { try child.start() }
        }

        @Test func nothingToWaitForBeforeStart() async throws {
            let child = ChildProcess { 1 }
            #expect(throws: UsageError.self) { try child.join() }
            #expect(throws: UsageError.self) { try child.join(timeout: .seconds(1)) }
            #expect(throws: UsageError.self) { try child.result() }
            await #expect(throws: UsageError.self) { try await child.value }
            #expect(child.status == nil)
            #expect(!child.isAlive)
        }

        @Test func names() {
            let given = ChildProcess(doNothing, name: "reader")
            #expect(given.name == "reader")
            #expect(ChildProcess(doNothing).name != ChildProcess(doNothing).name)
        }

        @Test func droppedChildRunsOn() throws {
            let flag = try SharedValue<Int>(0)
            let release = try SharedValue<Int>(0)
            func startAndDrop() throws { try ChildProcess(beginAndReport, flag, release).start() }
            try startAndDrop()
            release.value = 1
            #expect(eventually { flag.value == 2 })
        }

        @Test func manyAtOnce() throws {
            let children = (0..<30).map { ChildProcess(double, $0) }
            for child in children { try child.start() }
            try #expect(children.map { try $0.result() } == (0..<30).map { 2 * $0 })
        }

        @Test(arguments: StartMethod.all) func childrenOfChildren(method: StartMethod) throws {
            let child = ChildProcess(configuration: .init(method)) {
                let grandchild = ChildProcess { getppid() }
                try grandchild.start()
                return try grandchild.result() != 1
            }
            try child.start()
            try #expect(child.result())
        }
    }
}

@Sendable private func beginAndReport(_ flag: SharedValue<Int>, _ release: SharedValue<Int>) {
    flag.value = 1
    while release.value == 0 { usleep(500) }
    flag.value = 2
}
