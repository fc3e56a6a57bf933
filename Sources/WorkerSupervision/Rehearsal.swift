import BinaryCoding
import Glibc
import SharedState
import SystemLayer
import WorkTransfer

/// What every worker does, done ahead with nothing at stake.
///
/// The first time costs a new process most of a millisecond: the runtime looks for types and conformances, the dynamic linker for symbols, the kernel for pages.
/// What the first two find is kept in memory, which a fork inherits. So the fork server rehearses before it forks anybody, and learns the functions that its host
/// sends out; a spare worker does the rest, touching what it is about to need.
///
/// There is one thread in these processes. What runs there is this file and the runtime: no code of the user's, no concurrency, no lock that a fork could find
/// held, nothing that is kept in the arena.
enum Rehearsal {
    // Written by the server alone, before it forks.
    private nonisolated(unsafe) static var functions: [Int: ResolvedInvocation] = [:]
    private nonisolated(unsafe) static var trials: [ResolvedInvocation] = []
    private nonisolated(unsafe) static var argument: [UInt8] = []
    private nonisolated(unsafe) static var progress: [UInt64] = []

    /// The function that is described at `offset`, if this process's server has learned it.
    static func function(at offset: Int) -> ResolvedInvocation? { functions[offset] }

    /// In the server.
    fileprivate static func learn(_ offset: Int, _ bytes: Int, in arena: Arena) {
        let description = UnsafeRawBufferPointer(start: arena.base + offset, count: bytes)
        // What cannot be made here cannot be made in a worker either, and is said there.
        functions[offset] = try? resolveInvocation(description)
    }

    /// In the server: everything, for what the runtime and the dynamic linker find on the way.
    fileprivate static func run(in arena: Arena) throws {
        let encoded = HeapByteWriter()
        try Invocation<Int, Int>.encodeArguments(1, to: encoded)
        argument = Array(encoded.written)
        trials = try [VoidInvocation({}).describe(), Invocation<Int, Int>({ $0 }).describe()].map {
            try $0.withUnsafeBytes { try resolveInvocation($0) }
        }
        // Of the first array of a type, the runtime makes the type: of the one that every pool's worker begins with.
        progress = Array(repeating: 0, count: trials.count)
        // Large enough never to grow into the arena, of which this process owns nothing.
        withUnsafeTemporaryAllocation(byteCount: 512, alignment: 16) { call(result: ArenaByteWriter($0, in: arena)) }
        let writer = HeapByteWriter()
        ErrorTransfer.encode(UsageError(""), to: writer)
        writer.removeAll()
        try encodeBinary(WorkerSettings(.init(), processors: [0], directory: "/"), to: writer)
        var reader = ByteReader(writer.written)
        let _: WorkerSettings? = try decodeBinary(from: &reader)
    }

    /// Calls functions that do nothing.
    fileprivate static func call(result writer: ByteWriter) {
        for trial in trials {
            writer.removeAll()
            argument.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                try? trial.invoke(arguments: &reader, result: writer)
            }
        }
        writer.removeAll()
        // What a pool's worker keeps.
        var known: [FunctionPlace: ResolvedInvocation] = [:]
        let place = FunctionPlace(FunctionCatalog.Entry(offset: 0, size: 0))
        if let trial = trials.first { known[place] = function(at: 0) ?? trial }
        var sent: [(task: ClaimedTask, objects: [AnyObject])] = [(ClaimedTask(slot: 0, word: SlotWord(.free, use: 0, flags: 0)), [])]
        sent.removeAll { _ in known[place] != nil }
        _ = monotonicNow()
        ExitHooks.run()
        ThisProcess.flushAll()
    }
}

@_cdecl("mp_worker_rehearse")
func rehearse() {
    guard let arena = try? Arena.current() else { return }
    try? Rehearsal.run(in: arena)
}

@_cdecl("mp_worker_learn")
func learn(_ function: UInt64, _ bytes: UInt64) {
    guard let arena = try? Arena.current() else { return }
    Rehearsal.learn(Int(function), Int(bytes), in: arena)
}

/// In a worker that waits: it is there, and all that it will need is at hand.
@_cdecl("mp_worker_warm_up")
func warmUp(_ launch: UInt64) {
    guard let arena = try? Arena.current() else { return }
    let launch = LaunchBlock(at: Int(launch), in: arena)
    CurrentProcess.begin(as: launch.identity, in: arena)
    Rehearsal.call(result: launch.resultWriter())
    // It sleeps from here on until it is launched, and begins then once more.
    RunnableProcesses.remove(launch.identity, in: arena)
}
