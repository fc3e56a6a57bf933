import Glibc
import Synchronization
import SystemLayer

@testable import SharedState

/// Deaths of a process that is cleaning up after another, as the host of a nested pool does.
enum ReclaimExperiments {
    static func reclaim() throws {
        let arena = try Arena.current()
        let host = CurrentProcess.identity(in: arena)
        let shared = try ObjectBlock.make(.value, elementSize: 8, count: 1, size: large, in: arena)
        let lock = OwnerLock(word: arena.word32(shared.offset + ObjectBlock.payload), offset: UInt64(shared.offset + ObjectBlock.payload))
        let census = Census(arena)
        var child: ProcessIdentity?
        try Execution(
            name: "ProcessTable.reclaim", arena: arena,
            prepare: { child = try ProcessTable.enter(parent: $0, in: arena) },
            before: {
                let own = CurrentProcess.identity(in: arena)
                let child = try child ?? ProcessTable.enter(parent: own, in: arena)
                // What the child leaves behind is made here, in its name.
                CurrentProcess.begin(as: child, in: arena)
                for size in [large, small, large] { _ = try arena.allocate(size) }
                _ = try ObjectBlock.make(.value, elementSize: 8, count: 1, size: large, in: arena)
                shared.addHolder(child)
                lock.lock(in: arena)
                ThreadRecords.forgetAfterFork()
                CurrentProcess.begin(as: own, in: arena)
                ProcessTable.setProcessIdentifier(0, of: child, in: arena)
                lastChild = child
            },
            operation: { if let lastChild { ProcessTable.reclaim(lastChild, in: arena) } },
            check: { _ in
                try requireEqual(lock.word.pointee.load(ordering: .acquiring) & ThreadRecords.tokenMask, 0)
                lock.word.pointee.store(0, ordering: .releasing)
                try census.requireUnchanged(in: arena)
                try requireEqual(ProcessTable.liveEntries(in: arena), [Int(host.slot)])
            },
            undo: { lock.word.pointee.store(0, ordering: .releasing) }
        ).run()
    }

    /// An object that the dead process never had goes, and its memory becomes another's, between any two instructions of the process that looks for its holds.
    static func reclaimBesideOthers() throws {
        let arena = try Arena.current()
        let dead = try ProcessTable.enter(parent: CurrentProcess.identity(in: arena), in: arena)
        let census = Census(arena)
        var object: SharedValue<UInt64>?
        var reused = 0
        let ones = [UInt64](repeating: .max, count: 64)
        func freeAndReuse() throws {
            guard let handle = object?.handle else { return }
            object = nil
            reused = Int(handle)
            // Taken as another process would take it. No other allocation is under way.
            guard let word = arena.blockWord(at: reused) else { return }
            let block = BlockWord(rawValue: word.pointee.load(ordering: .acquiring))
            try requireEqual(block.kind, .free)
            word.pointee.store(block.changed(to: .owned, owner: CurrentProcess.identity(in: arena)).rawValue, ordering: .releasing)
            ones.withUnsafeBytes {
                (arena.base + reused).copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: ObjectBlock.payload)
            }
        }
        try Execution(
            name: "Reclamation beside others", arena: arena, prepare: { _ in object = try SharedValue(1) },
            operation: { Reclamation.reclaimBlocks(of: dead, in: arena) }, meddle: freeAndReuse,
            check: { _ in
                guard reused != 0 else { return object = nil }
                for i in 0..<ObjectBlock.payload / 8 {
                    try requireEqual((arena.base + reused).load(fromByteOffset: i * 8, as: UInt64.self), .max)
                }
                arena.free(reused)
                reused = 0
                try census.requireUnchanged(in: arena)
            }, samples: 400
        ).run()
    }

    /// What a process had lent to its children is not taken from them before they have ended, too.
    static func reclaimBeforeChildren() throws {
        let arena = try Arena.current()
        let host = CurrentProcess.identity(in: arena)
        let parent = try ProcessTable.enter(parent: host, in: arena)
        let child = try ProcessTable.enter(parent: parent, in: arena)
        let census = Census(arena)
        // The parent, in whose name this is done, has ended.
        CurrentProcess.begin(as: parent, in: arena)
        let lent = try arena.allocate(large)
        CurrentProcess.begin(as: host, in: arena)
        guard let word = arena.blockWord(at: lent) else { return }
        let isReclaiming = { ProcessTable.isLive(parent.bits, in: arena) == false }
        guard let process = try forkProcess() else {
            alarm(120)
            CurrentProcess.begin(as: child, in: arena)
            while !isReclaiming() { sched_yield() }
            // Runs on for a while.
            for _ in 0..<10_000 where BlockWord(rawValue: word.pointee.load(ordering: .acquiring)).kind == .owned { sched_yield() }
            _exit(BlockWord(rawValue: word.pointee.load(ordering: .acquiring)).kind == .owned ? 0 : 1)
        }
        ProcessTable.setProcessIdentifier(process.processIdentifier, of: child, in: arena)
        ProcessTable.reclaim(parent, in: arena)
        try requireEqual(process.reap(wait: true), .exited(0))
        try census.requireUnchanged(in: arena)
        try requireEqual(ProcessTable.liveEntries(in: arena), [Int(host.slot)])
        print("\(Laboratory.reportPrefix)ProcessTable.reclaim waits for children")
    }

    /// Two to a granule: blocks of many to a granule make the sweep long.
    private static let small = 32_000
    private static let large = 2 * ArenaLayout.granuleSize
    private nonisolated(unsafe) static var lastChild: ProcessIdentity?
}

extension ProcessTable {
    /// The slots in use.
    static func liveEntries(in arena: Arena) -> [Int] {
        (0..<ArenaLayout.processCapacity).filter { slot in
            arena.word(ArenaLayout.processTable + slot * ArenaLayout.processEntrySize).pointee.load(ordering: .acquiring) & 15 != 0
        }
    }
}
