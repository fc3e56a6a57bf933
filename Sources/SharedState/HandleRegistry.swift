import Synchronization
import SystemLayer

/// How many handles this process has to each shared object. The object itself knows only whether there is one.
package enum HandleRegistry {
    private static let lock = HostLock()
    // Guarded by `lock`; what else would check the access costs as much as the table.
    @exclusivity(unchecked) private nonisolated(unsafe) static var counts = HandleTable()

    // Not by `withLock`, which another module cannot specialise.
    static func retain(_ block: ObjectBlock) {
        lock.lock()
        defer { lock.unlock() }
        if counts.increment(block.offset) { block.addHolder(CurrentProcess.identity(in: block.arena)) }
    }

    /// - Parameter owner: of a lock, where the token is of the thread that holds it. If that is one of this process, the last handle stays, for as long as the process:
    ///   the thread's list names the lock's memory, or the C library's does, so it must not become another's.
    static func release(_ block: ObjectBlock, ownedBy owner: FutexWord? = nil) {
        lock.lock()
        // Who takes a lock has a handle: with the last one in hand, nobody can.
        let stays = owner.map {
            counts.count(block.offset) == 1 && ThreadRecords.isOwn($0.pointee.load(ordering: .relaxed), in: block.arena)
        }
        let isLast = stays != true && counts.decrement(block.offset)
        let word = isLast ? block.endHold(of: CurrentProcess.identity(in: block.arena)) : nil
        lock.unlock()
        if let word { block.freeUnlessHeld(word) }
    }

    /// Holds on to an object that a message names, from when its sender lets go until it is decoded or dropped.
    package static func takeCustody(of handle: UInt64, in arena: Arena) { retain(ObjectBlock(offset: Int(handle), in: arena)) }
    package static func endCustody(of handle: UInt64, in arena: Arena) { release(ObjectBlock(offset: Int(handle), in: arena)) }

    /// Calls `fork`, which makes a copy of this process known as `child`, so that the copy holds from its first moment what this process holds.
    package static func whileForking<R>(_ child: ProcessIdentity, in arena: Arena, _ fork: () -> R) -> R {
        lock.withLock {
            counts.forEach { ObjectBlock(offset: $0, in: arena).addHolder(child) }
            return fork()
        }
    }
}
