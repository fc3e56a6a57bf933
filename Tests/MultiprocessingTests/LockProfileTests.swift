import Glibc
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// Locks' profiles, from several processes.
    @Suite struct LockProfileTests {
        @Test(arguments: LockKind.allCases, StartMethod.all)
        func countsAreExactBetweenProcesses(kind: LockKind, method: StartMethod) throws {
            let lock = try SharedLock(name: "between processes", kind: kind, profiling: true)
            let children = (0..<3).map { index in
                ChildProcess(lock, index, configuration: .init(method)) { (lock: SharedLock, index: Int) in
                    for _ in 0..<1_000 * (index + 1) { try lock.withLock {} }
                }
            }
            for child in children { try child.start() }
            for _ in 0..<500 { try lock.withLock {} }
            for child in children { try child.result() }
            let profile = lock.profile
            #expect(profile.acquisitions == 6_500)
            #expect(profile.processes.reduce(0) { $0 + $1.acquisitions } == 6_500)
            // Each by itself, also the copy of this process that fork has made; but one may have begun in the place of one that has ended.
            let own = profile.processes.filter { $0.processIdentifier == getpid() }
            #expect(own.map(\.acquisitions) == [500])
            #expect(own.first?.hasEnded == false)
            #expect(profile.processes.reduce(0) { $0 + $1.count } == 4)
            #expect(profile.waitingSites.reduce(0) { $0 + $1.count } == profile.contended)
        }

        @Test func whoTakesThePlaceOfAnotherCountsForItself() throws {
            let lock = try SharedLock(profiling: true)
            for _ in 0..<5 {
                let child = ChildProcess(lock) { (lock: SharedLock) in for _ in 0..<300 { try lock.withLock {} } }
                try child.start()
                try child.result()
                try child.join()
            }
            let profile = lock.profile
            #expect(profile.acquisitions == 1_500)
            #expect(profile.processes.reduce(0) { $0 + $1.count } == 5)
            #expect(profile.processes.allSatisfy { $0.hasEnded || $0.processIdentifier > 0 })
        }

        @Test(arguments: [LockKind.adaptive, .pthreadRobust]) func ownersThatDieAreCounted(kind: LockKind) throws {
            let lock = try SharedLock(kind: kind, profiling: true)
            for round in 1...5 {
                let child = ChildProcess(lock) { (lock: SharedLock) in
                    for _ in 0..<10 { try lock.withLock(repair: {}, {}) }
                    try lock.lock()
                    _ = die(.killed)
                }
                try child.start()
                #expect(throws: WorkerTerminated.self) { try child.result() }
                #expect(throws: OwnerDied.self) { try lock.lock() }
                try lock.unlock()
                #expect((lock.profile.ownerDeaths, lock.profile.acquisitions) == (round, 12 * round))
            }
        }

        /// A process may be killed anywhere in it: at most what it was counting then is missing.
        @Test func killedAtAnyMomentTheyLoseOneCountEach() throws {
            let lock = try SharedLock(profiling: true)
            let counted = try SharedArray<Int>(repeating: 0, count: 8)
            for index in 0..<8 {
                let child = ChildProcess(lock, counted, index) { (lock: SharedLock, counted: SharedArray<Int>, index: Int) in
                    while true { try lock.withLock(repair: {}) { counted[index] += 1 } }
                }
                try child.start()
                #expect(eventually { counted[index] > 1_000 * (index + 1) })
                child.kill()
                try child.join()
                try lock.withLock(repair: {}, {})
            }
            let sum = (0..<8).reduce(0) { $0 + counted[$1] } + 8
            let acquisitions = lock.profile.acquisitions
            // Killed between counting here and its own count.
            #expect(acquisitions >= sum && acquisitions <= sum + 8, "\(acquisitions), \(sum)")
        }

        @Test func everyProcessSeesTheSame() throws {
            let lock = try SharedLock(name: "seen from everywhere", kind: .pthreadAdaptive, profiling: true)
            for _ in 0..<70 { try lock.withLock {} }
            try withPool(processes: 1) { pool in
                let (name, seen) = try pool.apply({ (lock: SharedLock) in Seen(name: lock.name, profile: lock.profile) }, lock).both
                let own = lock.profile
                #expect(name == "seen from everywhere")
                #expect((seen.name, seen.kind, seen.created) == (own.name, own.kind, own.created))
                #expect((seen.acquisitions, seen.processes, seen.hold.samples) == (own.acquisitions, own.processes, own.hold.samples))
                let report = try pool.apply({ LockProfile.report() })
                #expect(report.contains("seen from everywhere"))
            }
        }

        // MARK: From outside

        @Test func anotherProgramsLocksCanBeRead() throws {
            let program = try Program("HostFixture", "profiled-lock")
            let worker = try #require(program.readLine()?.split(separator: " ").last.flatMap { Int32($0) })
            #expect(program.readLine() == "ready")
            for pid in [program.pid, worker] {
                let profiles = try LockProfile.all(ofProcess: pid)
                let profile = try #require(profiles.first)
                #expect(profiles.count == 1)
                #expect((profile.name, profile.acquisitions, profile.heldBy) == ("the \"lock\" of the fixture", 110, program.pid))
                #expect(profile.processes.map(\.processIdentifier) == [worker, program.pid])
                #expect(profile.processes.map(\.acquisitions) == [100, 10])
                #expect(profile.age > .zero)
                #expect(profile.created.file.hasSuffix("Locks.swift"))
            }
            try topShowsThem(of: program)
            try topSaysNothingElse(of: program)
            // It is there, until it has been waited for, but shares nothing any more.
            let why = try errorThrown(SharedMemoryError.self) { try LockProfile.all(ofProcess: program.pid) }
            #expect(why.description.contains("has ended") && !why.description.contains("Pass the pid"))
            program.wait()
            let error = try errorThrown(SharedMemoryError.self) { try LockProfile.all(ofProcess: program.pid) }
            #expect(error.description.contains("no process \(program.pid)"))
        }

        private func topShowsThem(of program: Program) throws {
            let json = try output(of: "top", "\(program.pid)", "--once", "--json")
            #expect(json.count == 1)
            let parts = [
                #""lock": "the \"lock\" of the fixture""#, #""acquisitions": 110"#, #""held_by": \#(program.pid)"#,
                #""hold": [{"count": 110"#,
            ]
            for part in parts {
                #expect(json.first?.contains(part) == true, "\(part) in \(json)")
            }
            let folder = try temporaryFolder()
            defer {
                unlink("\(folder)/plot.svg")
                unlink("\(folder)/plot.html")
                rmdir(folder)
            }
            let report = try output(of: "top", "\(program.pid)", "--once", "--plot", "\(folder)/plot.svg").joined(separator: "\n")
            #expect(report.contains("the \"lock\" of the fixture") && report.contains("one in 64"))
            _ = try output(of: "top", "\(program.pid)", "--once", "--json", "--plot", "\(folder)/plot.html")
            let (svg, page) = (readAll("\(folder)/plot.svg") ?? "", readAll("\(folder)/plot.html") ?? "")
            #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
            #expect(svg.contains("the &quot;lock&quot; of the fixture") && svg.contains("<rect x="))
            #expect(page.hasPrefix("<!DOCTYPE html>") && page.contains("<svg ") && page.contains("one in 64"))
        }

        /// Who reads its output may be a program, to the end.
        private func topSaysNothingElse(of program: Program) throws {
            let top = try Program("mpbench", ["top", "\(program.pid)", "--json", "--interval", "0.02"])
            let first = [top.readLine(), top.readLine()]
            program.send(SIGKILL)
            for line in first + top.readRest() {
                #expect(line?.hasPrefix("{\"lock\"") == true && line?.hasSuffix("}") == true, "\(line ?? "")")
            }
            #expect(top.wait() == 0)
            let again = try Program("mpbench", ["top", "\(program.pid)", "--json"])
            #expect(again.readRest().isEmpty)
            #expect(again.wait() == 1)
        }

        /// What `mpbench` prints.
        private func output(of arguments: String...) throws -> [String] {
            let program = try Program("mpbench", arguments)
            let lines = program.readRest()
            #expect(program.wait() == 0)
            return lines
        }

        private func temporaryFolder() throws -> String {
            var template = Array("/tmp/mp-top-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else { throw Refusal(reason: "no folder") }
            return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }

        @Test func whatCannotBeReadIsSaid() throws {
            // Itself a program without any family, as it has made none.
            let program = try Program("mpbench", ["top", "--help"])
            _ = program.readRest()
            program.wait()
            let expected: [(Int32, String)] = [
                (0, "no process's number"), (-3, "no process's number"), (program.pid, "no process"), (1, "rocess 1 "),
            ]
            for (pid, text) in expected {
                let error = try errorThrown(SharedMemoryError.self) { try LockProfile.all(ofProcess: pid) }
                #expect(error.description.contains(text))
            }
        }

        // MARK: Probes

        @Test func debuggersFindTheProbes() throws {
            let reader = popen("readelf -n '\(Program.path(of: "HostFixture"))' 2>/dev/null", "r")
            var text = ""
            var line: UnsafeMutablePointer<CChar>?
            var capacity = 0
            while getline(&line, &capacity, reader) > 0 { text += line.map { String(cString: $0) } ?? "" }
            free(line)
            // Where there is no readelf there is nothing to check.
            guard let reader, pclose(reader) == 0 else { return }
            #expect(text.components(of: "Provider: multiprocessing") == 5)
            for name in ["lock_contended", "lock_acquired", "lock_released", "owner_died", "lock_wake"] {
                #expect(text.contains("Name: \(name)\n"))
            }
        }
    }
}

/// What a worker sees of a lock.
private struct Seen: Codable, Sendable {
    let name: String
    let profile: LockProfile

    var both: (String, LockProfile) { (name, profile) }
}

extension String {
    /// How often `part` comes.
    fileprivate func components(of part: String) -> Int { split(separator: "\n").count { $0.contains(part) } }
}
