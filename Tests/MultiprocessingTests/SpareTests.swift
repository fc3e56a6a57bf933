import Glibc
import Multiprocessing
import TestSupport
import Testing

/// The spare processes of this one.
private func spares() -> [ProcessEntry] { ProcessEntry.descendants().filter { $0.isSpare && !$0.isZombie } }

/// Stops the spare process that the next start will have, so that it cannot begin before it is let go.
private func stoppedSpare() throws -> Int32 {
    // One start, and what comes of it: there is a spare, and no other is on its way.
    let child = ChildProcess(doNothing)
    try child.start()
    try child.join()
    try #require(eventually { !spares().isEmpty })
    let all = spares()
    for spare in all { kill(spare.pid, SIGSTOP) }
    try #require(eventually { all.allSatisfy { ProcessEntry(pid: $0.pid)?.state == "T" } })
    // The oldest is taken first. The others are of no use when they stand still.
    for spare in all.dropFirst() { kill(spare.pid, SIGKILL) }
    try #require(eventually { spares().map(\.pid) == [all[0].pid] })
    return all[0].pid
}

extension PublicInterface {
    /// Processes that are there before they are needed: what happens to them before that, and on the way, is nobody's loss.
    @Suite struct SpareTests {
        @Test func aStartTakesTheSpare() throws {
            let spare = try stoppedSpare()
            let child = ChildProcess(processIdentifier)
            try child.start()
            kill(spare, SIGCONT)
            try #expect(child.result() == spare)
            #expect(child.processIdentifier == spare)
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
            let spare = try stoppedSpare()
            let child = ChildProcess(processIdentifier)
            try child.start()
            // It cannot have begun.
            kill(spare, SIGKILL)
            let pid = try child.result()
            #expect(pid != spare)
            #expect(child.processIdentifier == pid)
            #expect(child.status == .exited(0))
        }

        @Test func aPoolNoticesNothingOfThat() throws {
            let spare = try stoppedSpare()
            try withPool(processes: 1) { pool in
                kill(spare, SIGKILL)
                try #expect(pool.apply(double, 4) == 8)
                try #expect(pool.apply(processIdentifier) != spare)
            }
        }

        @Test func whatTheHostKillsStaysDead() throws {
            let spare = try stoppedSpare()
            let child = ChildProcess(double, 4)
            try child.start()
            child.kill()
            try child.join()
            #expect(child.status == .signaled(SIGKILL))
            #expect(throws: WorkerTerminated.self) { try child.result() }
            #expect(child.processIdentifier == spare)
        }

        @Test func whatIsKnownIsNotReplaced() throws {
            let spare = try stoppedSpare()
            let child = ChildProcess(sleepForEver)
            try child.start()
            #expect(child.processIdentifier == spare)
            kill(spare, SIGKILL)
            try child.join()
            #expect(child.status == .signaled(SIGKILL))
        }

        @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func signalsBeforeTheStartMeanNothing(signal: Int32) throws {
            let spare = try stoppedSpare()
            kill(spare, signal)
            kill(spare, SIGCONT)
            try #require(eventually { ProcessEntry(pid: spare)?.state == "S" })
            let child = ChildProcess(processIdentifier)
            try child.start()
            try #expect(child.result() == spare)
        }

        @Test func signalsAfterTheStartCount() throws {
            for (send, signal) in [({ $0.interrupt() }, SIGINT), ({ $0.terminate() }, SIGTERM)] as [((ChildProcess<Void>) -> Void, Int32)] {
                let spare = try stoppedSpare()
                let child = ChildProcess(sleepForEver)
                try child.start()
                send(child)
                kill(spare, SIGCONT)
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
