import BinaryCoding
import Glibc
import SystemLayer

/// Keeps the shared objects of a message alive while it is on its way in a socket, where no process has it: the sender may die before it is received, and the receiver
/// may never receive it. The family's first process holds them. Two connected sockets say for how long: one goes along with the message, and once every copy of it is closed,
/// by a receiver that has decoded, by a death, or by the kernel with what nobody can receive any more, the other tells that process.
final class MessageHold {
    /// What goes along.
    let number: Int32

    private nonisolated(unsafe) static var unsent: Set<Int32> = []  // guarded by `DescriptorService.lock`

    /// - Parameter handles: the objects' places, which the caller keeps alive until this has returned.
    init(_ handles: [UInt64]) throws {
        let (near, far) = try DescriptorService.lock.withLock {
            let ends = try LocalSocket.pair()
            Self.unsent.insert(ends.1)
            return ends
        }
        number = far
        do { try DescriptorDepot.hold(handles, whileOpen: near) } catch {
            Self.close(far)
            throw error
        }
    }

    deinit { Self.close(number) }

    /// Takes care of one that came with a message: it is closed by ``close(_:)``, or in a copy of this process that is made before that.
    static func received(_ number: Int32) { DescriptorService.lock.withLock { _ = unsent.insert(number) } }

    static func close(_ number: Int32) {
        DescriptorService.lock.withLock { _ = unsent.remove(number) }
        Glibc.close(number)
    }

    /// In a forked child, with the lock held: it would hold what its parent has sent for as long as it lives.
    static func forgetAfterFork() {
        for number in unsent { Glibc.close(number) }
        unsent = []
    }
}

extension DescriptorDepot {
    /// Has the family's first process hold the objects at `handles`, which this process holds, until the other end of `near` is closed everywhere.
    /// Takes over `near`.
    fileprivate static func hold(_ handles: [UInt64], whileOpen near: Int32) throws {
        var unused = near
        defer { if unused >= 0 { close(unused) } }
        let arena = try Arena.current()
        open()
        if isHere(arena) {
            unused = -1
            return try keep(handles, whileOpen: near, in: arena)
        }
        // As many as fit in one message at a time, each with a copy of the same descriptor.
        for part in stride(from: 0, to: handles.count, by: DepotRequest.mostHandles) {
            let some = Array(handles[part..<min(handles.count, part + DepotRequest.mostHandles)])
            try some.withUnsafeBytes { bytes in
                let own = UInt64(CurrentProcess.identity(in: arena).bits)
                // Without a limit: what was asked for must not be done when nobody keeps the objects any more.
                _ = try ask(.hold, UInt64(some.count), own, arena, near, body: bytes, until: .never)
            }
        }
    }

    /// In the first process. Somebody holds the objects until this returns. Takes over `near`.
    static func keep(_ handles: [UInt64], whileOpen near: Int32, in arena: Arena) throws {
        for handle in handles { HandleRegistry.takeCustody(of: handle, in: arena) }
        let watch = DescriptorWatch(near, isOwned: true) { _ in
            close(near)
            for handle in handles { HandleRegistry.endCustody(of: handle, in: arena) }
        }
        do { try DescriptorService.add(watch) } catch {
            watch.handler(.cancelled)
            throw error
        }
    }

    /// In the first process, for another: does nothing if that has been struck out, whose holds are gone then.
    static func keep(_ handles: [UInt64], of sender: UInt32, whileOpen near: Int32, in arena: Arena) -> Bool {
        let isKept = ProcessTable.whileNotReclaimed(sender, in: arena) { (try? keep(handles, whileOpen: near, in: arena)) != nil }
        if isKept == nil { close(near) }
        return isKept ?? false
    }
}
