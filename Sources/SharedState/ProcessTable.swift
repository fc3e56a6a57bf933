import CMultiprocessing
import Glibc
import Synchronization
import SystemLayer

/// The processes of a family. A process is entered by its parent before it is started, and struck out by its parent's supervisor after it has ended and what
/// it held has been reclaimed: there is exactly one who cleans up. Keepers, which own and hold as processes do, have entries here too.
package enum ProcessTable {
    // An entry: bits 0–3 phase, 4 pinned, 16–31 generation, 32–59 the identity of the parent, or of who is reclaiming; then the pid, 0 while it is not known; at
    // 12 1 once it has nothing more to do; at 16 a keeper's object.
    enum Phase: UInt64 { case free, live, reclaiming, keeper }

    /// Of a live entry: reclaiming waits.
    private static let pinned: UInt64 = 16

    static func entry(_ slot: Int) -> Int { ArenaLayout.processTable + slot * ArenaLayout.processEntrySize }

    static func word(_ phase: Phase, generation: UInt16, parent: UInt32 = 0) -> UInt64 {
        phase.rawValue | UInt64(generation) << 16 | UInt64(parent) << 32
    }

    /// Enters a process that is about to be started by `parent` (nil for the family's first).
    /// - Throws: ``SharedMemoryError`` when the family has as many processes as it can.
    package static func enter(parent: ProcessIdentity?, in arena: Arena) throws -> ProcessIdentity {
        try enter(.live, parent: parent, in: arena)
    }

    static func enter(_ phase: Phase, parent: ProcessIdentity?, in arena: Arena) throws -> ProcessIdentity {
        sweepOrphans(in: arena)
        for slot in 0..<ArenaLayout.processCapacity {
            let state = arena.word(entry(slot))
            let current = state.pointee.load(ordering: .relaxed)
            guard current & 15 == Phase.free.rawValue else { continue }
            // Never 0: an entry that is 0 has never been used.
            let generation = max(1, UInt16(truncatingIfNeeded: current >> 16) &+ 1)
            if state.pointee.compareExchange(
                expected: current, desired: word(phase, generation: generation, parent: parent?.bits ?? 0), ordering: .acquiringAndReleasing
            ).exchanged {
                // Only now that the slot is this process's: somebody else's number must not be wiped out.
                setProcessIdentifier(0, ofSlot: slot, in: arena)
                arena.word32(entry(slot) + 12).pointee.store(0, ordering: .releasing)
                return ProcessIdentity(slot: slot, generation: generation)
            }
        }
        throw SharedMemoryError(
            """
            \(ArenaLayout.processCapacity) processes, and queues with large values or shared objects, already share this memory, which is the most \
            there can be. Let some end before making more.
            """)
    }

    /// Notes the pid of an entered process, for those who must find out whether it still runs.
    package static func setProcessIdentifier(_ pid: Int32, of identity: ProcessIdentity, in arena: Arena) {
        setProcessIdentifier(pid, ofSlot: Int(identity.slot), in: arena)
    }

    private static func setProcessIdentifier(_ pid: Int32, ofSlot slot: Int, in arena: Arena) {
        arena.word32(entry(slot) + 8).pointee.store(UInt32(bitPattern: pid), ordering: .releasing)
    }

    static func processIdentifier(of identity: ProcessIdentity, in arena: Arena) -> UInt32 {
        arena.word32(entry(Int(identity.slot)) + 8).pointee.load(ordering: .acquiring)
    }

    /// Notes that the calling process has done its work and ends: nobody misses it.
    package static func endInOrder(in arena: Arena) {
        arena.word32(entry(Int(CurrentProcess.identity(in: arena).slot)) + 12).pointee.store(1, ordering: .releasing)
    }

    /// Whether a process that has ended had done its work.
    static func hasEndedInOrder(_ identity: ProcessIdentity, in arena: Arena) -> Bool {
        arena.word32(entry(Int(identity.slot)) + 12).pointee.load(ordering: .acquiring) == 1
    }

    static func isLive(_ bits: UInt32, in arena: Arena) -> Bool {
        let slot = Int(bits & 0xfff) - 1
        guard slot >= 0, slot < ArenaLayout.processCapacity else { return false }
        let current = arena.word(entry(slot)).pointee.load(ordering: .acquiring)
        return current & 15 == Phase.live.rawValue && UInt16(truncatingIfNeeded: current >> 16) == UInt16(truncatingIfNeeded: bits >> 12)
    }

    /// Calls `body` while what the process `bits` holds is not reclaimed, though it may die meanwhile. Only for one thread at a time, of the family's first process, whose
    /// death is that of all others: nobody waits in vain.
    /// - Returns: nil when it is being, or has been, reclaimed.
    static func whileNotReclaimed<R>(_ bits: UInt32, in arena: Arena, _ body: () -> R) -> R? {
        let slot = Int(bits & 0xfff) - 1
        guard slot >= 0, slot < ArenaLayout.processCapacity else { return nil }
        let state = arena.word(entry(slot))
        while true {
            let current = state.pointee.load(ordering: .acquiring)
            guard current & 15 == Phase.live.rawValue, UInt16(truncatingIfNeeded: current >> 16) == UInt16(truncatingIfNeeded: bits >> 12)
            else { return nil }
            if state.pointee.compareExchange(expected: current, desired: current | pinned, ordering: .acquiringAndReleasing).exchanged {
                break
            }
        }
        defer { state.pointee.bitwiseAnd(~pinned, ordering: .acquiringAndReleasing) }
        return body()
    }

    /// Hands on the locks of a process that has ended, frees its memory and its handles, and strikes it out. Those of its children that have ended
    /// go with it; the others are on their way, and go at the next call.
    ///
    /// Time grows with the number of blocks in the arena: some microseconds for a hundred of them.
    package static func reclaim(_ identity: ProcessIdentity, in arena: Arena) {
        let current = arena.word(entry(Int(identity.slot))).pointee.load(ordering: .acquiring)
        guard current & 15 == Phase.live.rawValue, UInt16(truncatingIfNeeded: current >> 16) == identity.generation else { return }
        reclaim(identity, from: current, in: arena)
    }

    private static func reclaim(_ identity: ProcessIdentity, from current: UInt64, in arena: Arena) {
        if clear(identity, from: current, in: arena) { sweepOrphans(in: arena) }
    }

    /// Frees what the process, or keeper, of an entry has, and then the entry. Every step can be repeated, so that another process may begin again where this
    /// one has died.
    /// - Returns: false when the entry is no longer as it was: somebody else is at it.
    @discardableResult
    static func clear(_ identity: ProcessIdentity, from current: UInt64, in arena: Arena) -> Bool {
        let state = arena.word(entry(Int(identity.slot)))
        let claimed = word(.reclaiming, generation: identity.generation, parent: CurrentProcess.identity(in: arena).bits)
        guard move(state, from: current, to: claimed) else { return false }
        ThreadRecords.releaseLocks(ofProcess: identity.bits, in: arena)
        awaitChildren(of: identity, in: arena)
        Reclamation.reclaimBlocks(of: identity, in: arena)
        setProcessIdentifier(0, of: identity, in: arena)
        // So that it is 0 in every free entry: of one that is a keeper's it says something from the first moment.
        object(ofKeeper: identity.slot, in: arena).pointee.store(0, ordering: .releasing)
        RunnableProcesses.remove(identity, in: arena)
        state.pointee.store(word(.free, generation: identity.generation), ordering: .releasing)
        return true
    }

    /// - Returns: false when another was faster.
    private static func move(_ state: UnsafeMutablePointer<Atomic<UInt64>>, from current: UInt64, to claimed: UInt64) -> Bool {
        var expected = current & ~pinned
        while true {
            let (exchanged, now) = state.pointee.compareExchange(expected: expected, desired: claimed, ordering: .acquiringAndReleasing)
            if exchanged { return true }
            // Or the family's first process is taking over holds from it, for some microseconds.
            guard now == expected | pinned else { return false }
            expected = now & ~pinned
            sched_yield()
        }
    }

    /// The children of a process that has ended are on their way, but until then they may write to what it had lent them (its pools, their arguments), which
    /// therefore must not become another's.
    private static func awaitChildren(of parent: ProcessIdentity, in arena: Arena) {
        for slot in 0..<ArenaLayout.processCapacity {
            let current = arena.word(entry(slot)).pointee.load(ordering: .acquiring)
            if current == 0 { break }
            // Its number may be another process's by now: hence the limit.
            if current & 15 == Phase.live.rawValue, UInt32(truncatingIfNeeded: current >> 32) == parent.bits {
                _ = hasEnded(slot, withinMilliseconds: 1000, in: arena)
            }
        }
    }

    /// Whether the process of an entry has ended, or never begun. A process that nobody has waited for yet has ended, too.
    private static func hasEnded(_ slot: Int, withinMilliseconds limit: Int32, in arena: Arena) -> Bool {
        let pid = Int32(bitPattern: arena.word32(entry(slot) + 8).pointee.load(ordering: .acquiring))
        if pid == 0 { return true }
        let number = mp_pidfd_open(pid)
        // No process has this number (or a thread has it): anything else, such as a lack of descriptors, says nothing about it.
        if number < 0 { return [-ESRCH, -EINVAL, -ENOENT].contains(number) }
        return ProcessDescriptor(owning: number, processIdentifier: pid).waitForEnd(milliseconds: limit)
    }

    /// Reclaims processes whose parent is gone from the table and which have ended themselves, and finishes what reclaimers that have died had begun: nobody
    /// else will.
    private static func sweepOrphans(in arena: Arena) {
        for slot in 0..<ArenaLayout.processCapacity {
            let current = arena.word(entry(slot)).pointee.load(ordering: .acquiring)
            // Slots are handed out from the lowest on: the first that was never used ends the table.
            if current == 0 { break }
            let parent = UInt32(truncatingIfNeeded: current >> 32)
            let identity = ProcessIdentity(slot: slot, generation: UInt16(truncatingIfNeeded: current >> 16))
            if current & 15 == Phase.keeper.rawValue {
                if isAbandoned(keeper: identity, maker: parent, in: arena) { reclaim(identity, from: current, in: arena) }
                continue
            }
            guard current & 15 != Phase.free.rawValue, parent != 0, !isLive(parent, in: arena) else { continue }
            // A parent that is being reclaimed at this moment is not live either, and its children may run for another millisecond.
            if current & 15 == Phase.live.rawValue, !hasEnded(slot, withinMilliseconds: 0, in: arena) { continue }
            reclaim(identity, from: current, in: arena)
        }
    }
}

/// Which process of the family the calling one is.
package enum CurrentProcess {
    private static let bits = Atomic<UInt32>(0)

    /// Enters the family's first process by itself; every other is told by its parent.
    package static func identity(in arena: Arena) -> ProcessIdentity {
        var known = bits.load(ordering: .acquiring)
        if known == 0 {
            guard let new = try? ProcessTable.enter(parent: nil, in: arena) else {
                preconditionFailure("the process table of a new arena is full")
            }
            let (exchanged, original) = bits.compareExchange(expected: 0, desired: new.bits, ordering: .acquiringAndReleasing)
            // Another thread may have been faster; then its entry stands, and this one goes unused.
            known = exchanged ? new.bits : original
            if exchanged {
                takeProfileEntry(of: new)
                ProcessTable.setProcessIdentifier(getpid(), of: new, in: arena)
                RunnableProcesses.add(new, in: arena)
            } else {
                ProcessTable.reclaim(new, in: arena)
            }
        }
        return ProcessIdentity(bits: known)
    }

    /// In the profiles of locks.
    private static func takeProfileEntry(of identity: ProcessIdentity) {
        mp_profile_set_entry(UInt32(min(Int(identity.slot), LockLayout.entryCount - 1) * LockLayout.entrySize))
    }

    /// Tells a process that has just begun who it is.
    package static func begin(as identity: ProcessIdentity, in arena: Arena) {
        takeProfileEntry(of: identity)
        bits.store(identity.bits, ordering: .releasing)
        ProcessTable.setProcessIdentifier(getpid(), of: identity, in: arena)
        RunnableProcesses.add(identity, in: arena)
    }
}
