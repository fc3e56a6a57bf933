import DeathSupport
import Glibc
import SystemLayer
import Testing

@testable import SharedState

/// One operation, and how its victims die in it: a process is made for each instruction, runs up to it, and is killed there.
struct Execution {
    let name: String
    let arena: Arena
    /// Whether the victim holds, as a `.fork` child does, what this process holds.
    var inheritsHandles = false
    /// In this process, before a victim is made.
    var prepare: (_ victim: ProcessIdentity) throws -> Void = { _ in }
    /// In the victim, before it may die.
    var before: () throws -> Void = {}
    /// In this process, while the victim stands between ``before`` and ``operation``.
    var meanwhile: () throws -> Void = {}
    /// In the victim.
    var operation: () throws -> Void
    /// In this process, in place of the victim's death, which then goes on to its end.
    var meddle: (() throws -> Void)?
    /// In this process, after the victim's death and before its reclamation.
    var afterDeath: () throws -> Void = {}
    /// In this process, after the reclamation of what the victim held.
    var check: (_ victim: ProcessIdentity) throws -> Void
    /// Undoes ``before`` and ``operation`` when this process has run them.
    var undo: () throws -> Void = {}
    /// How many victims there are at most, beside those for each state of the shared memory.
    var samples = 100
    /// More granules than these are not watched for changes.
    var watchedGranules = 16

    /// Kills victims everywhere.
    func run() throws {
        let began = monotonicNow()
        // What is made on first use (metadata, the dynamic linker's addresses) is made here, so that it is not part of some victims' paths.
        try before()
        try operation()
        try undo()
        try end(try makeVictim())
        let watched = WatchedMemory(of: arena, granules: watchedGranules)
        var missed = 0
        for _ in 1...3 {
            let trace = try record(watched)
            let points = Laboratory.isExtended ? Array(0...trace.addresses.count) : trace.points(samples: samples)
            missed = try killEverywhere(points, of: trace, watched)
            // Where many paths are shorter, the recorded one was the odd one out.
            if Double(missed) > 0.1 * Double(points.count) { continue }
            let seconds = Double((monotonicNow() - began) / 10_000_000) / 100
            print(
                "\(Laboratory.reportPrefix)\(name): \(trace.addresses.count) instructions, \(trace.effectCount) of them seen by others, "
                    + "\(points.count) deaths, \(missed) of them not come to, \(seconds) s")
            return
        }
        throw Laboratory.Failure(
            description: "\(name): no victim came to \(missed) of the points where they were to die, along three recorded paths")
    }

    /// Makes a victim for each point. Returns at how many points none has died.
    private func killEverywhere(_ points: [Int], of trace: Trace, _ watched: WatchedMemory) throws -> Int {
        try points.count { point in
            // A path may differ from the recorded one by the clock, by what malloc has at hand, or by what others do meanwhile: the next victim comes there.
            for _ in 1...4 {
                if try kill(at: point, of: trace, { try run($0, to: point, of: trace) }) { return false }
            }
            // One that is stepped, at the pace of the recording, dies at the same point of its own path.
            return try !kill(at: point, of: trace) { try step($0, to: point, of: trace, watched) }
        }
    }

    /// Makes a victim for a point, to which `advance` brings it.
    /// - Returns: false if it has ended without coming there.
    private func kill(at point: Int, of trace: Trace, _ advance: (Victim) throws -> Bool) throws -> Bool {
        let victim = try makeVictim()
        do {
            let isThere = try advance(victim)
            if let meddle {
                try meddle()
                if isThere { try require(ds_finish(victim.pid), "going on") }
            }
            try end(victim)
            return isThere || point == trace.addresses.count
        } catch {
            ds_kill(victim.pid)
            throw Laboratory.Failure(description: "\(name), killed before instruction \(point) of \(trace.addresses.count): \(error)")
        }
    }

    private struct Victim {
        let pid: pid_t
        let identity: ProcessIdentity
    }

    private func makeVictim() throws -> Victim {
        let identity = try ProcessTable.enter(parent: CurrentProcess.identity(in: arena), in: arena)
        try prepare(identity)
        func fork() -> Result<ProcessDescriptor?, any Error> {
            // As ForkGuard does it, since another thread of this process may serve descriptors at this moment.
            DescriptorService.lock.withLock {
                let result = Result { try forkProcess() }
                if case .success(.none) = result { DescriptorService.forgetAfterFork() }
                return result
            }
        }
        let result = inheritsHandles ? HandleRegistry.whileForking(identity, in: arena, fork) : fork()
        guard let descriptor = try result.get() else {
            ThreadRecords.forgetAfterFork()
            CurrentProcess.begin(as: identity, in: arena)
            do {
                try before()
                ds_be_traced()
                try operation()
                ds_stop()
            } catch {
                print("\(name): \(error)")
            }
            _exit(1)
        }
        let victim = Victim(pid: descriptor.processIdentifier, identity: identity)
        do {
            try require(ds_await_stop(victim.pid), "waiting for the victim")
            try meanwhile()
        } catch {
            ds_kill(victim.pid)
            throw error
        }
        return victim
    }

    /// - Returns: false when it has come to its end.
    private func run(_ victim: Victim, to point: Int, of trace: Trace) throws -> Bool {
        if point == trace.addresses.count {
            try require(ds_finish(victim.pid), "running to the end")
            return false
        }
        if point == 0 { return true }
        let result = ds_run_to(victim.pid, trace.addresses[point], trace.occurrences[point])
        try require(result, "running there")
        return result == 1
    }

    /// After as many effects as the path to `point` has, if it ends with one; else after as many instructions.
    /// - Returns: false when the victim has come to its end.
    private func step(_ victim: Victim, to point: Int, of trace: Trace, _ watched: WatchedMemory) throws -> Bool {
        let result =
            trace.effects[point - 1] != 0
            ? ds_step_past_effects(victim.pid, trace.effectCount(before: point), watched.regions, Int32(watched.regions.count))
            : ds_step(victim.pid, point)
        try require(result, "stepping there")
        return result == 1
    }

    private func end(_ victim: Victim) throws {
        ds_kill(victim.pid)
        try afterDeath()
        ProcessTable.reclaim(victim.identity, in: arena)
        try check(victim.identity)
    }

    private func record(_ watched: WatchedMemory) throws -> Trace {
        let capacity = 1_000_000
        let addresses = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity)
        let effects = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        defer {
            addresses.deallocate()
            effects.deallocate()
        }
        let victim = try makeVictim()
        let count = ds_record(victim.pid, addresses, effects, capacity, watched.regions, Int32(watched.regions.count))
        try end(victim)
        try require(Int32(clamping: count), "recording")
        return Trace(
            addresses: Array(UnsafeBufferPointer(start: addresses, count: count)),
            effects: Array(UnsafeBufferPointer(start: effects, count: count)))
    }

    private func require(_ result: Int32, _ what: String) throws {
        if result < 0 { throw Laboratory.Failure(description: "\(name): \(what): \(result) (see DeathSupport.h)") }
    }
}

/// The part of the arena in which changes are effects.
private final class WatchedMemory {
    private(set) var regions: [ds_region] = []

    init(of arena: Arena, granules: Int) {
        watch(arena.base, ArenaLayout.processTable + 64 * ArenaLayout.processEntrySize)
        watch(arena.base + ArenaLayout.threadTable, 64 * ArenaLayout.threadRecordSize)
        watch(arena.base + ArenaLayout.granuleTable, 4096)
        watch(arena.base + arena.firstGranule, granules * ArenaLayout.granuleSize)
    }

    deinit { for region in regions { region.copy.deallocate() } }

    private func watch(_ start: UnsafeMutableRawPointer, _ length: Int) {
        regions.append(
            ds_region(start: start, length: length, copy: UnsafeMutableRawPointer.allocate(byteCount: length, alignment: 64)))
    }
}

/// The instructions of an operation.
private struct Trace {
    let addresses: [UInt64]
    /// Which of them others can see.
    let effects: [UInt8]
    /// How often each instruction's address has come before.
    let occurrences: [Int]

    init(addresses: [UInt64], effects: [UInt8]) {
        self.addresses = addresses
        self.effects = effects
        var counts: [UInt64: Int] = [:]
        occurrences = addresses.map { address in
            defer { counts[address, default: 0] += 1 }
            return counts[address, default: 0]
        }
    }

    var effectCount: Int { effectCount(before: effects.count) }

    func effectCount(before point: Int) -> Int { effects[..<point].count { $0 != 0 } }

    /// Before which instructions to kill. A dead process's own memory is lost, so two places differ only in what others can see: one after each such
    /// instruction is enough. The samples are there in case that is wrong.
    func points(samples: Int) -> [Int] {
        var points: Set<Int> = [0, addresses.count]
        for (index, effect) in effects.enumerated() where effect != 0 { points.insert(index + 1) }
        for index in stride(from: 0, to: addresses.count, by: max(1, addresses.count / max(1, samples))) { points.insert(index) }
        return points.sorted()
    }
}
