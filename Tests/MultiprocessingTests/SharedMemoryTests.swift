import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// Memory with a name, between programs that have nothing to do with each other.
    @Suite struct SharedMemoryTests {
        private func newName() -> String { "test-\(getpid())-\(UInt32.random(in: 0 ... .max))" }

        private func number(in segment: SharedMemory) -> Int32 { segment.withUnsafeMutableBytes { $0.load(as: Int32.self) } }

        @Test func createdHereOpenedThere() throws {
            let name = newName()
            let segment = try SharedMemory.create(name: name, size: 100_001)
            #expect(segment.name == name && segment.size == 100_001)
            segment.withUnsafeMutableBytes { bytes in
                #expect(bytes.count == 100_001 && bytes.allSatisfy { $0 == 0 })
                bytes.storeBytes(of: 77, as: Int32.self)
            }
            let again = try SharedMemory.open(name: name)
            #expect(number(in: again) == 77)
            let program = try Program("HostFixture", "segment-use", name)
            #expect(program.readLine() == "\(name) 100001 77")
            #expect(program.readLine() == "\(program.pid)")
            #expect(program.readLine() == "true")
            #expect(program.wait() == 0)
            #expect(number(in: segment) == program.pid, "unlinked by another, it stays open here")
            #expect(number(in: again) == program.pid)
            let error = try errorThrown(SharedMemoryError.self) { try SharedMemory.open(name: name) }
            #expect(error.description.contains(name) && error.description.contains("Create it"))
            #expect(throws: SharedMemoryError.self) { try SharedMemory.unlink(name: name) }
            let other = try SharedMemory.create(name: name, size: 8)
            #expect(number(in: other) == 0 && number(in: segment) == program.pid)
            try SharedMemory.unlink(name: name)
        }

        @Test func deadCreatorLeavesNoName() throws {
            let name = newName()
            let lost = try leaks {
                for _ in 0..<10 {
                    let program = try Program("HostFixture", "segment-keep", name, "50000")
                    #expect(program.readLine() == "ready")
                    let segment = try SharedMemory.open(name: name)
                    #expect(number(in: segment) == program.pid)
                    let error = try errorThrown(SharedMemoryError.self) { try SharedMemory.create(name: name, size: 1) }
                    #expect(error.description.contains("already"))
                    program.send(SIGKILL)
                    program.wait()
                    #expect(throws: SharedMemoryError.self) { try SharedMemory.open(name: name) }
                    let mine = try SharedMemory.create(name: name, size: 8)
                    #expect(number(in: mine) == 0)
                    #expect(number(in: segment) == program.pid, "who has it open keeps it")
                    try SharedMemory.unlink(name: name)
                }
            }
            #expect(lost == [])
        }

        @Test func oneOfManyCreators() throws {
            let (name, gateName) = (newName(), newName())
            let gate = try SharedMemory.create(name: gateName, size: 4)
            let size = 3_000_001
            let programs = try (0..<50).map { _ in try Program("HostFixture", "segment-race", name, gateName, "\(size)") }
            for program in programs { #expect(program.readLine() == "ready") }
            gate.withUnsafeMutableBytes { $0.storeBytes(of: 1, as: Int32.self) }
            let lines = programs.map { $0.readLine() ?? "nothing" }
            #expect(lines.filter { $0 == "won" }.count == 1 && lines.filter { $0 == "lost" }.count == 49, "\(lines)")
            let winner = try #require(lines.firstIndex(of: "won"))
            #expect(number(in: try SharedMemory.open(name: name)) == programs[winner].pid)
            for program in programs { program.send(SIGKILL) }
            for program in programs { program.wait() }
            _ = try SharedMemory.create(name: name, size: 1)
            try SharedMemory.unlink(name: name)
            try SharedMemory.unlink(name: gateName)
        }

        @Test func manyThreadsAtOnce() async throws {
            let name = newName()
            for _ in 0..<20 {
                let won = await withTaskGroup(of: Bool.self) { group in
                    for _ in 0..<8 { group.addTask { (try? SharedMemory.create(name: name, size: 5000)) != nil } }
                    return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
                #expect(won == 1)
                try SharedMemory.unlink(name: name)
            }
        }

        /// Taking the memory takes a while, in which there is one segment for all: the one that is being made.
        @Test func openedWhileItIsCreated() throws {
            let (name, size) = (newName(), 256 << 20)
            let creator = OwnThread { while (try? SharedMemory.create(name: name, size: size)) == nil {} }
            // Until it has the name.
            while let mine = try? SharedMemory.create(name: name, size: 1) {
                withExtendedLifetime(mine) {}
                try? SharedMemory.unlink(name: name)
            }
            #expect(try SharedMemory.open(name: name).size == size)
            creator.join()
            try SharedMemory.unlink(name: name)
        }

        @Test func copyDoesNotKeepTheName() throws {
            let name = newName()
            let segment = try SharedMemory.create(name: name, size: 4)
            let copy = ChildProcess(configuration: .init(.fork)) {
                while segment.withUnsafeMutableBytes({ $0.load(as: Int32.self) }) == 0 { usleep(500) }
                return try SharedMemory.open(name: name).size
            }
            try copy.start()
            try SharedMemory.unlink(name: name)
            #expect(throws: SharedMemoryError.self) { try SharedMemory.open(name: name) }
            _ = try SharedMemory.create(name: name, size: 9)
            segment.withUnsafeMutableBytes { $0.storeBytes(of: 1, as: Int32.self) }
            #expect(try copy.result() == 9, "it has the memory, and can open others")
            try SharedMemory.unlink(name: name)
        }

        @Test(arguments: ["", "a/b", "line\nbreak", "nul\0", String(repeating: "x", count: 81)]) func namesThatCannotBe(name: String) throws
        {
            for attempt in [{ _ = try SharedMemory.create(name: name, size: 1) }, { _ = try SharedMemory.open(name: name) }] {
                let error = try errorThrown(SharedMemoryError.self, by: attempt)
                #expect(error.description.contains("1 to 80 bytes"))
            }
            #expect(throws: SharedMemoryError.self) { try SharedMemory.unlink(name: name) }
        }

        @Test func longestName() throws {
            let name = String(repeating: "ü", count: 40)
            let segment = try SharedMemory.create(name: name, size: 1)
            #expect(try SharedMemory.open(name: name).size == segment.size)
            try SharedMemory.unlink(name: name)
        }

        @Test(arguments: [0, -1, .min, 1 << 50, .max]) func sizesThatCannotBe(size: Int) throws {
            let name = newName()
            #expect(throws: SharedMemoryError.self) { try SharedMemory.create(name: name, size: size) }
            // Nothing is left of the attempt.
            #expect(throws: SharedMemoryError.self) { try SharedMemory.open(name: name) }
            _ = try SharedMemory.create(name: name, size: 1)
            try SharedMemory.unlink(name: name)
        }

        @Test func stoppedCreatorIsNotWaitedForForEver() throws {
            let name = newName()
            let program = try Program("HostFixture", "segment-keep", name, "8")
            #expect(program.readLine() == "ready")
            func stop() {
                program.send(SIGSTOP)
                // All its threads.
                var status: Int32 = 0
                #expect(waitpid(program.pid, &status, WUNTRACED) == program.pid)
            }
            stop()
            let error = try errorThrown(SharedMemoryError.self) { try SharedMemory.open(name: name, timeout: .milliseconds(20)) }
            #expect(error.description.contains("does not answer"))
            program.send(SIGCONT)
            #expect(number(in: try SharedMemory.open(name: name)) == program.pid)
            stop()
            #expect(throws: SharedMemoryError.self) { try SharedMemory.unlink(name: name, timeout: .milliseconds(20)) }
            program.send(SIGCONT)
        }

        /// Even the first use of the library can be repeated.
        @Test func descriptorsLater() throws {
            let program = try Program("HostFixture", "descriptors-later")
            #expect(program.readRest() == ["lock: true", "pool: true", "lock: done", "42", "pool: done"])
            #expect(program.wait() == 0)
        }

        @Test func withoutDescriptors() throws {
            let program = try Program("HostFixture", "few-descriptors")
            #expect(
                program.readRest() == [
                    "pipe: true", "1", "receive: done", "receive descriptor: true", "next", "receive next: done", "send large: true",
                    "send descriptor: true", "-1", "wait: done", "create: true", "open: true", "create: done", "open: done", "pipe: done",
                ])
            #expect(program.wait() == 0)
        }
    }
}
