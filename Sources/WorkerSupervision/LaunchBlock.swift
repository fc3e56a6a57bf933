import BinaryCoding
import SharedState
import Synchronization
import SystemLayer
import WorkTransfer

/// What a worker is given at its start, and where it says how its work came out: a block of the arena that its host makes and frees.
///
/// It begins with the `mp_launch` that a worker which is there already sleeps on, in C, until the host gives it the rest.
struct LaunchBlock: @unchecked Sendable {
    // Unchecked: `outcome` is written by the worker before its state says so, everything else by the host before it gives the launch.
    enum Role: UInt32 {
        /// Runs one function and ends.
        case child
        /// Takes tasks from a pool.
        case poolWorker
    }

    enum OutcomeState: UInt32 {
        case none, value, error
        /// The worker could not begin: placement, limits or its initializer failed.
        case notStarted
    }

    struct Header: BitwiseCopyable {
        var role: UInt32 = 0
        var slot: UInt16 = 0
        var generation: UInt16 = 0
        /// Of a pool worker.
        var pool = 0
        var index = 0
        /// Encoded ``WorkerSettings``; 0 bytes: none.
        var settings = 0
        var settingsBytes = 0
        /// The function to run: a child's body, a pool worker's initializer. 0 bytes: none.
        var function = 0
        var functionBytes = 0
        var arguments = 0
        var argumentsBytes = 0
        // The outcome, written by the worker. Its state is a word of its own.
        var outcomeBytes = 0
        var outcomeBlock = 0
        var outcomeHandles: UInt32 = 0
    }

    /// Of the parts: behind the `mp_launch`, each on cache lines of its own.
    private static let header = 64
    private static let state = 192
    private static let inline = 256
    private static let inlineBytes = 192

    let arena: Arena
    let offset: Int

    /// A launch that says nothing yet, but which process it is for.
    init(for identity: ProcessIdentity, in arena: Arena) throws {
        self.arena = arena
        offset = try arena.allocate(Self.inline + Self.inlineBytes)
        clear(for: identity)
        word.open()
    }

    private func clear(for identity: ProcessIdentity) {
        var header = Header()
        (header.slot, header.generation) = (identity.slot, identity.generation)
        self.header.pointee = header
        stateWord.pointee.store(0, ordering: .releasing)
    }

    init(at offset: Int, in arena: Arena) {
        self.arena = arena
        self.offset = offset
    }

    var header: UnsafeMutablePointer<Header> { (arena.base + offset + Self.header).assumingMemoryBound(to: Header.self) }
    var identity: ProcessIdentity { ProcessIdentity(slot: Int(header.pointee.slot), generation: header.pointee.generation) }
    /// What starts the worker.
    var word: LaunchWord { LaunchWord(at: arena.base + offset) }
    private var stateWord: FutexWord { arena.word32(offset + Self.state) }

    func memory(_ offset: Int, _ bytes: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: arena.base + offset, count: bytes) }

    // MARK: The worker's side

    func resultWriter() -> ArenaByteWriter {
        ArenaByteWriter(UnsafeMutableRawBufferPointer(start: arena.base + offset + Self.inline, count: Self.inlineBytes), in: arena)
    }

    /// Stores what `encode` writes as the outcome, and keeps the shared objects in it. Not being able to is an outcome too.
    func report(_ state: OutcomeState, _ encode: (ByteWriter) throws -> Void) {
        let writer = resultWriter()
        var state = state
        var handles: UInt32
        do {
            try encode(writer)
            handles = try writer.appendHandles()
        } catch {
            writer.removeAll()
            ErrorTransfer.encode(error, to: writer)
            handles = (try? writer.appendHandles()) ?? 0
            if state == .value { state = .error }
        }
        keepUntilReclaimed(writer.retained)
        header.pointee.outcomeHandles = handles
        let (bytes, block) = writer.relinquish()
        header.pointee.outcomeBytes = bytes
        header.pointee.outcomeBlock = block
        stateWord.pointee.store(state.rawValue, ordering: .releasing)
    }

    // MARK: The host's side

    /// What the worker has said. Once, after its end and before what it held is reclaimed.
    func takeOutcome() -> (state: OutcomeState, payload: Payload?) {
        guard let state = OutcomeState(rawValue: stateWord.pointee.load(ordering: .acquiring)), state != .none else { return (.none, nil) }
        let header = header.pointee
        return (
            state,
            Payload(
                inline: arena.base + offset + Self.inline, bytes: header.outcomeBytes, block: header.outcomeBlock,
                handles: header.outcomeHandles,
                in: arena)
        )
    }

    /// Encodes the arguments of the function that the worker is to run.
    /// - Returns: what must stay alive until it has decoded them.
    func setArguments(_ encode: (ByteWriter) throws -> Void) throws -> [AnyObject] {
        let writer = ArenaByteWriter(UnsafeMutableRawBufferPointer(start: nil, count: 0), in: arena)
        do {
            try encode(writer)
        } catch {
            writer.discard()
            throw error
        }
        (header.pointee.argumentsBytes, header.pointee.arguments) = writer.relinquish()
        return writer.retained
    }

    func setSettings(_ settings: WorkerSettings?) throws {
        guard let settings else { return }
        let writer = ArenaByteWriter(UnsafeMutableRawBufferPointer(start: nil, count: 0), in: arena)
        try encodeBinary(settings, to: writer)
        (header.pointee.settingsBytes, header.pointee.settings) = writer.relinquish()
    }

    /// Takes back all that has been said, for another use of the same worker, which has not been given it yet.
    func clear() {
        freeParts()
        clear(for: identity)
    }

    func free() {
        freeParts()
        arena.free(offset)
    }

    private func freeParts() {
        if header.pointee.arguments != 0 { arena.free(header.pointee.arguments) }
        if header.pointee.settings != 0 { arena.free(header.pointee.settings) }
    }
}
