import Glibc
import Multiprocessing
import TestSupport
import Testing

/// The spare processes of this one.
private func spares() -> [ProcessEntry] { ProcessEntry.descendants().filter { $0.isSpare && !$0.isZombie } }

/// Whether a fork server has just made this process, which bears the server's name yet.
private func isNew(_ process: ProcessEntry) -> Bool {
    process.name == "mp-forkserver" && ProcessEntry(pid: process.parent)?.name == process.name
}

/// Stops the spare processes, one of which the next start will have, so that it cannot begin before it is let go. Others may come meanwhile, behind them.
private func stoppedSpares() throws -> Set<Int32> {
    let child = ChildProcess(doNothing)
    try child.start()
    try child.join()
    // The one in front need not be the first to have got as far as to its name: until then it cannot be told from a server.
    try #require(eventually { !ProcessEntry.descendants().contains(where: isNew) && !spares().isEmpty })
    let all = Set(spares().map(\.pid))
    all.send(SIGSTOP)
    // One may have been on its way out.
    let haveStopped = eventually { all.allSatisfy { ProcessEntry(pid: $0).map { $0.state == "T" || $0.isZombie } ?? true } }
    let stopped = all.filter { ProcessEntry(pid: $0)?.state == "T" }
    // Whoever fails must let them go, or a later start waits for one of them for ever.
    if !haveStopped || stopped.isEmpty { all.send(SIGCONT) }
    try #require(haveStopped && !stopped.isEmpty)
    return stopped
}

extension Set<Int32> {
    fileprivate func send(_ signal: Int32) { for pid in self { kill(pid, signal) } }
}

extension PublicInterface {
    /// Processes that are there before they are needed: what happens to them before that, and on the way, is nobody's loss.
    @Suite struct SpareTests {
        @Test func aStartTakesTheSpare() throws {
            let spares = try stoppedSpares()
            defer { spares.send(SIGCONT) }
            let child = ChildProcess(processIdentifier)
            try child.start()
            spares.send(SIGCONT)
            let pid = try child.result()
            #expect(spares.contains(pid))
            #expect(child.processIdentifier == pid)
        }

        @Test func aSpareThatWasKilledIsNotUsed() throws {
            for _ in 0..<20 {
                let child = ChildProcess(double, 4)
                try child.start()
                try child.join()
                for spare in spares() { kill(spare.pid, SIGKILL) }
                let next = ChildProcess(double, 5)
                try next.start()
                try #expect(next.result() == 10)
                try #expect(child.result() == 8)
            }
        }

        @Test func aSpareKilledBetweenItsStartAndItsWorkIsReplaced() throws {
            let spares = try stoppedSpares()
            defer { spares.send(SIGCONT) }
            let child = ChildProcess(processIdentifier)
            try child.start()
            // It cannot have begun.
            spares.send(SIGKILL)
            let pid = try child.result()
            #expect(!spares.contains(pid))
            #expect(child.processIdentifier == pid)
            #expect(child.status == .exited(0))
        }

        @Test func aPoolNoticesNothingOfThat() throws {
            let spares = try stoppedSpares()
            defer { spares.send(SIGCONT) }
            try withPool(processes: 1) { pool in
                spares.send(SIGKILL)
                try #expect(pool.apply(double, 4) == 8)
                try #expect(!spares.contains(pool.apply(processIdentifier)))
            }
        }

        @Test func whatTheHostKillsStaysDead() throws {
            let spares = try stoppedSpares()
            defer { spares.send(SIGCONT) }
            let child = ChildProcess(double, 4)
            try child.start()
            child.kill()
            try child.join()
            #expect(child.status == .signaled(SIGKILL))
            #expect(throws: WorkerTerminated.self) { try child.result() }
            #expect(spares.contains(child.processIdentifier ?? 0))
        }

        @Test func whatIsKnownIsNotReplaced() throws {
            let spares = try stoppedSpares()
            defer { spares.send(SIGCONT) }
            let child = ChildProcess(sleepForEver)
            try child.start()
            defer { child.kill() }
            // It would never end otherwise.
            try #require(spares.contains(child.processIdentifier ?? 0))
            spares.send(SIGKILL)
            try child.join()
            #expect(child.status == .signaled(SIGKILL))
        }

        @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func signalsBeforeTheStartMeanNothing(signal: Int32) throws {
            let spares = try stoppedSpares()
            defer { spares.send(SIGCONT) }
            spares.send(signal)
            spares.send(SIGCONT)
            try #require(eventually { spares.allSatisfy { ProcessEntry(pid: $0).map { $0.state == "S" || $0.isZombie } ?? true } })
            let child = ChildProcess(processIdentifier)
            try child.start()
            try #expect(spares.contains(child.result()))
        }

        @Test func signalsAfterTheStartCount() throws {
            for (send, signal) in [({ $0.interrupt() }, SIGINT), ({ $0.terminate() }, SIGTERM)] as [((ChildProcess<Void>) -> Void, Int32)] {
                let spares = try stoppedSpares()
                defer { spares.send(SIGCONT) }
                let child = ChildProcess(sleepForEver)
                try child.start()
                send(child)
                spares.send(SIGCONT)
                try child.join()
                #expect(child.status == .signaled(signal))
            }
        }

        @Test func manyAtOnce() throws {
            let excess = try leaks {
                let children = (0..<100).map { ChildProcess(double, $0) }
                for child in children { try child.start() }
                for (i, child) in children.enumerated() { try #expect(child.result() == 2 * i) }
                #expect(children.allSatisfy { $0.status == .exited(0) })
            }
            #expect(excess.isEmpty, "\(excess)")
        }

        @Test func oneIsKeptWhenAllIsQuiet() throws {
            try withPool(processes: 2) { try #expect($0.apply(double, 4) == 8) }
            #expect(eventually { spares().count == 1 }, "\(spares())")
        }

        @Test func startsUnderFire() throws {
            let end = try SharedValue<Bool>(false)
            let fire = ChildProcess(getpid(), end, configuration: .init(.spawn)) { (host: Int32, end: SharedValue<Bool>) in
                while !end.value { for spare in ProcessEntry.descendants(of: host) where spare.isSpare { kill(spare.pid, SIGKILL) } }
            }
            try fire.start()
            for i in 0..<200 {
                let child = ChildProcess(double, i)
                try child.start()
                do {
                    try #expect(child.result() == 2 * i)
                } catch let error as WorkerTerminated {
                    // By the time of the shot, it had begun.
                    #expect(error.status == .signaled(SIGKILL))
                }
            }
            end.value = true
            try fire.join()
            let child = ChildProcess(double, 4)
            try child.start()
            try #expect(child.result() == 8)
        }

        @Test func noRoomForASpare() throws {
            let program = try Program("HostFixture", "few-processes")
            #expect(program.readRest() == Array(repeating: "refused", count: 4))
            #expect(program.wait() == 0)
        }
    }
}
