package import SharedState
import SystemLayer
package import WorkTransfer

/// The functions that this process has sent away: each is described once, in a block of the arena, and then travels as the block's place.
package enum FunctionCatalog {
    package struct Entry: Sendable {
        package let offset: Int
        package let size: Int
    }

    static let lock = HostLock()
    private nonisolated(unsafe) static var entries: [FunctionIdentity: Entry] = [:]  // guarded by `lock`
    private nonisolated(unsafe) static var owner: ProcessIdentity?  // likewise
    private nonisolated(unsafe) static var names: [FunctionIdentity: String] = [:]  // likewise

    /// The place of the description of `invocation`'s function.
    /// - Throws: `TransferError` for a function that cannot travel.
    package static func entry(for invocation: some HostInvocation, in arena: Arena) throws -> Entry {
        let identity = try invocation.identity
        let (entry, isNew) = try lock.withLock {
            let process = CurrentProcess.identity(in: arena)
            // A forked child starts over: its parent's descriptions go with its parent's pools.
            if owner != process {
                entries = [:]
                owner = process
            }
            if let known = entries[identity] { return (known, false) }
            let description = try invocation.describe()
            // Its own for as long as this process lives, as are those who use it.
            let entry = Entry(offset: try arena.allocate(description.count), size: description.count)
            description.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(start: arena.base + entry.offset, count: entry.size).copyMemory(from: $0)
            }
            entries[identity] = entry
            return (entry, true)
        }
        if isNew { ProcessMonitor.existing?.teach([entry]) }
        return entry
    }

    /// The function in words, for errors. Costs milliseconds the first time, which many deaths of the same function should not cost again.
    package static func name(of invocation: some HostInvocation) -> String {
        guard let identity = try? invocation.identity else { return invocation.functionName }
        if let known = lock.withLock({ names[identity] }) { return known }
        let name = invocation.functionName
        lock.withLock { names[identity] = name }
        return name
    }

    /// All that there are, for a server that is new.
    static var all: [Entry] { lock.withLock { Array(entries.values) } }
}
