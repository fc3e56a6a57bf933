public import CMultiprocessing
public import Synchronization
import SystemLayer

/// The threads that have ever taken a lock: what stands in a lock's word is a thread's token, and a thread's record lists the locks it holds or is about to
/// take. A lock is entered before the attempt and struck out after its release, so after a death at any instruction the list names every lock that may be held.
/// So it is with whatever else a thread may leave half done: see ``Listed``.
@usableFromInline
package enum ThreadRecords {
    // A record: word 0: bits 0–3 phase (0 free, 1 live, 2 a further record of a thread), 4–31 the process, 32–48 generation, 49–61 which record has what finds
    // no place in this one, + 1; then the number of locks listed, or, in a further record, the thread's token; then their words' offsets, multiples of 8,
    // whose low bits say what it is that is listed.
    // Computed: the code that inlines them is in other modules, for which a stored constant is memory.
    @inlinable static var depth: Int { 8 }
    @inlinable static var locks: Int { 16 }
    /// What a record has places for. What is listed beyond that is in further records.
    @inlinable static var listed: Int { 6 }

    /// Bits of a token: 13 for the record, 17 for its generation.
    static let tokenMask: UInt32 = 0x3fff_ffff

    /// What can stand in a thread's list: the low bits of the offset.
    enum Listed: UInt64 {
        /// A lock that the thread holds or is about to take.
        case ownerLock
        /// A queue that it waits in.
        case waiter
        /// A queue for whose waiters it changes something.
        case notifier

        static let mask: UInt64 = 7

        private var size: Int {
            switch self {
            case .ownerLock: OwnerLock.size
            case .waiter, .notifier: WaitQueue.size
            }
        }

        /// Settles what the thread of `token`, which has ended, has left undone. It can be repeated.
        static func settle(_ listing: UInt64, of token: UInt32, in arena: Arena) {
            let offset = Int(truncatingIfNeeded: listing & ~mask)
            guard let kind = Listed(rawValue: listing & mask), offset > 0, offset <= arena.length - kind.size else { return }
            switch kind {
            case .ownerLock: OwnerLock(word: arena.word32(offset), offset: UInt64(offset)).settle(token)
            case .waiter: WaitQueue(at: offset, in: arena).settle(waiter: token)
            case .notifier: WaitQueue(at: offset, in: arena).settleNotifier()
            }
        }
    }

    static func record(_ index: Int) -> Int { ArenaLayout.threadTable + index * ArenaLayout.threadRecordSize }

    /// The calling thread's token; its first lock makes it a record.
    @inlinable @inline(__always)
    static func currentToken(in arena: @autoclosure () -> Arena) -> UInt32 {
        let token = mp_thread_token()
        return token != 0 ? token : register(in: arena())
    }

    @inline(never) @usableFromInline
    static func register(in arena: Arena) -> UInt32 {
        // What `OwnerLock.unlock` relies on. Mostly it has been done before `main`.
        mp_fence_register()
        let (token, index) = claim(in: arena)
        let result = mp_thread_register(token, arena.base + record(index)) { record in
            if let record { ThreadRecords.threadEnded(record) }
        }
        guard result == 0 else { fatalError("a thread's end cannot be noticed: error \(-result)") }
        return token
    }

    /// Takes a record for the calling process, as long as it lives, or until whoever it is for ends it.
    static func claim(in arena: Arena) -> (token: UInt32, index: Int) {
        if let (index, state) = claim(as: 1, in: arena) {
            let token = Self.token(of: index, state)
            arena.word(record(index) + depth).pointee.store(0, ordering: .releasing)
            return (token, index)
        }
        fatalError(
            "\(ArenaLayout.threadCapacity) threads of this family of processes hold or have held shared locks: end some before starting more"
        )
    }

    /// A free record, in this process's name; nil when there is none.
    static func claim(as phase: UInt64, in arena: Arena) -> (index: Int, state: UInt64)? {
        let process = UInt64(CurrentProcess.identity(in: arena).bits)
        for index in 0..<ArenaLayout.threadCapacity {
            let state = arena.word(record(index))
            let current = state.pointee.load(ordering: .relaxed)
            guard current & 15 == 0 else { continue }
            let claimed = phase | process << 4 | ((current >> 32 &+ 1) & 0x1ffff) << 32
            if state.pointee.compareExchange(expected: current, desired: claimed, ordering: .acquiringAndReleasing).exchanged {
                return (index, claimed)
            }
        }
        return nil
    }

    private static func token(of index: Int, _ state: UInt64) -> UInt32 {
        UInt32(index + 1) & 0x1fff | (UInt32(truncatingIfNeeded: state >> 32) & 0x1ffff) << 13
    }

    /// Lists a lock as held or about to be.
    @inlinable @inline(__always)
    static func enter(_ lock: UInt64) {
        guard let record = mp_thread_record() else { return }
        let count = (record + depth).assumingMemoryBound(to: Atomic<UInt64>.self)
        let n = count.pointee.load(ordering: .relaxed)
        if n < listed {
            let entries = (record + locks).assumingMemoryBound(to: Atomic<UInt64>.self)
            (entries + Int(truncatingIfNeeded: n)).pointee.store(lock, ordering: .relaxed)
        } else {
            enterFurther(lock)
        }
        count.pointee.store(n &+ 1, ordering: .releasing)
    }

    /// Strikes out a lock that was released or not taken. Locks are mostly released in the opposite order of their taking, so it is the last one.
    @inlinable @inline(__always)
    static func leave(_ lock: UInt64) {
        guard let record = mp_thread_record() else { return }
        let count = (record + depth).assumingMemoryBound(to: Atomic<UInt64>.self)
        let n = Int(truncatingIfNeeded: count.pointee.load(ordering: .relaxed))
        guard n > 0 else { return }
        let entries = (record + locks).assumingMemoryBound(to: Atomic<UInt64>.self)
        if n > listed || (entries + (n &- 1)).pointee.load(ordering: .relaxed) != lock { strikeOut(lock, of: n, entries) }
        count.pointee.store(UInt64(truncatingIfNeeded: n &- 1), ordering: .releasing)
    }

    /// Whether the lock is the last that the calling thread has entered. False when it cannot tell.
    @inlinable @inline(__always)
    static func isLast(_ lock: UInt64) -> Bool {
        guard let record = mp_thread_record() else { return false }
        let n = Int(truncatingIfNeeded: (record + depth).assumingMemoryBound(to: Atomic<UInt64>.self).pointee.load(ordering: .relaxed))
        let entries = (record + locks).assumingMemoryBound(to: Atomic<UInt64>.self)
        return n > 0 && n <= listed && (entries + (n &- 1)).pointee.load(ordering: .relaxed) == lock
    }

    /// Strikes out a lock that is not the last of the `n` that are entered.
    ///
    /// What is listed is always held, or nearly: the memory of a lock that is not held may be another's by the time that the thread dies. So where there are more
    /// locks than places, a place becomes 0, as does not happen otherwise, and is filled once all have a place again.
    @usableFromInline @inline(never)
    static func strikeOut(_ lock: UInt64, of n: Int, _ entries: UnsafeMutablePointer<Atomic<UInt64>>) {
        let places = 0..<min(n, listed)
        // As many places are empty as locks are listed elsewhere: if this one is, the last takes the place that is empty.
        func place(of lock: UInt64) -> Int? { places.first { entries[$0].load(ordering: .relaxed) == lock } }
        var found = place(of: lock)
        if found == nil {
            strikeOutFurther(lock)
            found = place(of: 0)
        }
        guard let found else { return }
        entries[found].store(n > listed ? 0 : entries[n - 1].load(ordering: .relaxed), ordering: .relaxed)
    }

    /// Whether the thread that `token` stands for can still release what it holds.
    static func isLive(_ token: UInt32, in arena: Arena) -> Bool {
        process(of: token, in: arena).map { ProcessTable.isLive($0, in: arena) } ?? false
    }

    /// Whether what stands in a lock's word is the token of a thread of this process that has not ended.
    static func isOwn(_ word: UInt32, in arena: Arena) -> Bool {
        process(of: word & tokenMask, in: arena) == CurrentProcess.identity(in: arena).bits
    }

    /// The process of the thread that `token` stands for; nil when the thread has ended.
    private static func process(of token: UInt32, in arena: Arena) -> UInt32? {
        let index = Int(token & 0x1fff) - 1
        guard index >= 0 else { return nil }
        let current = arena.word(record(index)).pointee.load(ordering: .acquiring)
        guard current & 15 == 1, UInt32(truncatingIfNeeded: current >> 32) & 0x1ffff == token >> 13 else { return nil }
        return UInt32(truncatingIfNeeded: current >> 4) & 0xfff_ffff
    }

    static func releaseLocks(ofProcess process: UInt32, in arena: Arena) {
        for index in 0..<ArenaLayout.threadCapacity {
            let current = arena.word(record(index)).pointee.load(ordering: .acquiring)
            // Records are handed out from the lowest on: the first that was never used ends the table.
            if current == 0 { break }
            guard current & 15 != 0, UInt32(truncatingIfNeeded: current >> 4) & 0xfff_ffff == process else { continue }
            if current & 15 == 1 { end(index, current, in: arena) } else { endFurther(index, current, in: arena) }
        }
    }

    private static func threadEnded(_ record: UnsafeMutableRawPointer) {
        guard let arena = try? Arena.current() else { return }
        let index = (record - arena.base - ArenaLayout.threadTable) / ArenaLayout.threadRecordSize
        // If the process dies meanwhile, those that are left are found by its name. One that is free no longer says which comes next.
        for (further, state) in Array(furtherRecords(of: index, in: arena)) { endFurther(further, state, in: arena) }
        end(index, arena.word(ThreadRecords.record(index)).pointee.load(ordering: .acquiring), in: arena)
    }

    private static func end(_ index: Int, _ state: UInt64, in arena: Arena) {
        let count = min(Int(arena.word(record(index) + depth).pointee.load(ordering: .acquiring)), listed)
        settle(count, of: index, token(of: index, state), in: arena)
        free(index, state, in: arena)
    }

    /// Settles what stands in the first `count` places of a record.
    static func settle(_ count: Int, of index: Int, _ token: UInt32, in arena: Arena) {
        for i in 0..<count {
            Listed.settle(arena.word(record(index) + locks + i * 8).pointee.load(ordering: .relaxed), of: token, in: arena)
        }
    }

    static func free(_ index: Int, _ state: UInt64, in arena: Arena) {
        // Else the next to have the record, if it dies before it has cleared the list, would be settled where others' memory is by then.
        arena.word(record(index) + depth).pointee.store(0, ordering: .releasing)
        // The generation stays.
        arena.word(record(index)).pointee.store(state & 0x1_ffff_ffff_fff0, ordering: .releasing)
    }

    /// In a forked child: its one thread is another than its parent's, which it was copied from.
    package static func forgetAfterFork() { _ = mp_thread_register(0, nil) { _ in } }
}
