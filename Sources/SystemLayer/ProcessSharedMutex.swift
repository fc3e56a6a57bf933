public import CMultiprocessing
import Glibc

/// A pthread mutex in memory that processes share.
@usableFromInline
package struct ProcessSharedMutex: @unchecked Sendable {
    // Unchecked: the C library synchronises what the address points to.
    /// What the C library offers. `robust` tells the next taker of its owner's death; with the others a dead owner blocks everybody for ever.
    package enum Kind: UInt32, Sendable {
        case normal, adaptive, robust
    }

    /// How an attempt to take the mutex came out.
    @usableFromInline
    package enum Attempt {
        case taken
        /// Taken, from an owner that died.
        case takenFromDead
        case notTaken
    }

    package static var size: Int { Int(mp_mutex_size) }

    @usableFromInline package let address: UnsafeMutableRawPointer

    /// The mutex at `address`, a multiple of 16, where one has been made.
    package init(at address: UnsafeMutableRawPointer) { self.address = address }

    /// Makes a free mutex there.
    package func initialize(_ kind: Kind) throws(SystemError) {
        try check(mp_mutex_init(address, mp_mutex_kind(kind.rawValue)), "making a process-shared mutex")
    }

    /// Blocks until the mutex is taken.
    @inlinable
    package func lock() throws(SystemError) -> Attempt {
        let result = mp_mutex_lock(address)
        return result == 0 ? .taken : try attempt(result)
    }

    /// Blocks until the mutex is taken or `deadline` has passed.
    package func lock(until deadline: Deadline) throws(SystemError) -> Attempt {
        deadline.isNever ? try lock() : try attempt(mp_mutex_lock_for(address, deadline.remaining))
    }

    package func tryLock() throws(SystemError) -> Attempt { try attempt(mp_mutex_try_lock(address)) }

    @inlinable
    package func unlock() throws(SystemError) {
        let result = mp_mutex_unlock(address)
        if result != 0 { try failUnlocking(result) }
    }

    @inline(never) @usableFromInline
    func failUnlocking(_ result: Int32) throws(SystemError) { try check(result, "unlocking a process-shared mutex") }

    @inline(never) @usableFromInline
    func attempt(_ result: Int32) throws(SystemError) -> Attempt {
        switch result {
        case -EOWNERDEAD: return .takenFromDead
        case -EBUSY, -ETIMEDOUT: return .notTaken
        default:
            try check(result, "locking a process-shared mutex")
            return .taken
        }
    }
}
