package import SharedState
import Synchronization
import SystemLayer
package import WorkTransfer

/// The functions that this process has sent away: each is described once, in a block of the arena, and then travels as the block's place.
///
/// Every call looks its function up here. For functions that have a ``FunctionKey``, nearly all, looking takes no lock: a table of lists that only ever grow at
/// their heads, of entries that never change. Who adds an entry holds ``lock``, which is held across forks too. A forked child starts over: the entries it finds
/// are its parent's, whose descriptions go with its parent's pools.
package enum FunctionCatalog {
    package struct Entry: Sendable, BitwiseCopyable {
        package let offset: Int
        package let size: Int
    }

    private struct Record {
        let key: FunctionKey
        /// Which process made it: slot and generation.
        let owner: UInt32
        let entry: Entry
        let next: UnsafeMutablePointer<Record>?
    }
    private typealias Bucket = UnsafeMutablePointer<Atomic<UnsafeMutablePointer<Record>?>>

    static let lock = HostLock()
    private static let bits = 8
    /// An atomic, as that is there when the program is loaded: a constant made at its first use would be asked for by a call each time. (Unsafe: the compiler
    /// does not take pointers for Sendable, but these are only used atomically.)
    private nonisolated(unsafe) static let buckets = Atomic<Bucket?>(nil)

    /// What is looked up less often than at every call.
    private struct Rest {
        var owner: ProcessIdentity?
        /// Functions without a key.
        var entries: [FunctionIdentity: Entry] = [:]
        /// By the place of the description.
        var names: [Int: String] = [:]
        /// All that have been described.
        var all: [Entry] = []
    }
    private nonisolated(unsafe) static var rest = Rest()  // guarded by `lock`

    /// The place of the description of `invocation`'s function.
    /// - Throws: `TransferError` for a function that cannot travel.
    package static func entry(for invocation: some HostInvocation, in arena: Arena) throws -> Entry {
        try entry(for: invocation.key, in: arena) { invocation }
    }

    /// The same by the invocation's key. Generic code that looks up a function at every call asks here: to hand the invocation itself over, the runtime must find its
    /// type, which costs several times as much as all the rest.
    /// - Parameter invocation: called where the key is nil, or the function has not been seen.
    package static func entry(for key: FunctionKey?, in arena: Arena, _ invocation: () -> any HostInvocation) throws -> Entry {
        let process = CurrentProcess.identity(in: arena)
        guard let key else { return try otherEntry(for: invocation(), process, in: arena) }
        // Compared as a number: the operator of another room's type is a call.
        let owner = UInt32(process.slot) << 16 | UInt32(process.generation)
        if let known = find(key, owner) { return known }
        return try add(key, owner, invocation(), in: arena)
    }

    /// The name of the function at `entry`, for messages: see ``HostInvocation/functionName``. So that a task need not keep its function just in case. Costs
    /// milliseconds the first time; afterwards a lock.
    package static func functionName(of entry: Entry, in arena: Arena) -> String {
        let owner = CurrentProcess.identity(in: arena)
        let known: String? = lock.withLock {
            startOverIfForked(owner)
            return rest.names[entry.offset]
        }
        if let known { return known }
        // Kept, as resolving a description may make what lives for ever.
        let description = UnsafeRawBufferPointer(start: arena.base + entry.offset, count: entry.size)
        guard let name = try? resolveInvocation(description).functionName else { return "a function" }
        lock.withLock { rest.names[entry.offset] = name }
        return name
    }

    @inline(__always)
    private static func find(_ key: FunctionKey, _ owner: UInt32) -> Entry? {
        guard let buckets = buckets.load(ordering: .acquiring) else { return nil }
        var candidate = bucket(of: key, in: buckets).pointee.load(ordering: .acquiring)
        while let record = candidate {
            if record.pointee.key == key, record.pointee.owner == owner { return record.pointee.entry }
            candidate = record.pointee.next
        }
        return nil
    }

    @inline(__always)
    private static func bucket(of key: FunctionKey, in buckets: Bucket) -> Bucket {
        buckets + Int(key.quickHash >> UInt(UInt.bitWidth - bits))
    }

    @inline(never)
    private static func add(_ key: FunctionKey, _ owner: UInt32, _ invocation: any HostInvocation, in arena: Arena) throws -> Entry {
        let (entry, isNew): (Entry, Bool) = try lock.withLock {
            if let known = find(key, owner) { return (known, false) }
            let entry = try describe(invocation, in: arena)
            let bucket = bucket(of: key, in: buckets.load(ordering: .acquiring) ?? makeBuckets())
            let record = UnsafeMutablePointer<Record>.allocate(capacity: 1)
            record.initialize(to: Record(key: key, owner: owner, entry: entry, next: bucket.pointee.load(ordering: .relaxed)))
            bucket.pointee.store(record, ordering: .releasing)
            return (entry, true)
        }
        if isNew { ProcessMonitor.existing?.teach([entry]) }
        return entry
    }

    @inline(never)
    private static func otherEntry(for invocation: any HostInvocation, _ owner: ProcessIdentity, in arena: Arena) throws -> Entry {
        let identity = try invocation.identity
        let (entry, isNew): (Entry, Bool) = try lock.withLock {
            startOverIfForked(owner)
            if let known = rest.entries[identity] { return (known, false) }
            let entry = try describe(invocation, in: arena)
            rest.entries[identity] = entry
            return (entry, true)
        }
        if isNew { ProcessMonitor.existing?.teach([entry]) }
        return entry
    }

    /// Only with the lock.
    private static func startOverIfForked(_ owner: ProcessIdentity) {
        if rest.owner != owner { rest = Rest(owner: owner) }
    }

    /// Writes the description into a block of its own, for as long as this process lives, as do those who use it. Only with the lock.
    private static func describe(_ invocation: any HostInvocation, in arena: Arena) throws -> Entry {
        let description = try invocation.describe()
        let entry = Entry(offset: try arena.allocate(description.count), size: description.count)
        description.withUnsafeBytes {
            UnsafeMutableRawBufferPointer(start: arena.base + entry.offset, count: entry.size).copyMemory(from: $0)
        }
        startOverIfForked(CurrentProcess.identity(in: arena))
        rest.all.append(entry)
        return entry
    }

    /// Only with the lock.
    private static func makeBuckets() -> Bucket {
        let new = Bucket.allocate(capacity: 1 << bits)
        for place in 0..<1 << bits { (new + place).initialize(to: Atomic(nil)) }
        buckets.store(new, ordering: .releasing)
        return new
    }

    /// All that there are, for a server that is new.
    static var all: [Entry] { lock.withLock { rest.all } }

    /// As ``functionName(of:in:)``, of a function that may not have been described.
    package static func name(of invocation: some HostInvocation) -> String {
        guard let arena = try? Arena.current(), let entry = try? entry(for: invocation, in: arena) else { return invocation.functionName }
        return functionName(of: entry, in: arena)
    }
}
