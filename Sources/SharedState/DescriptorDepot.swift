import BinaryCoding
import CMultiprocessing
import Glibc
import Synchronization
import SystemLayer

/// Where descriptors wait that travel in arguments and results: in the family's first process, which outlives all others. Bytes name them by a *deposit*, a shared
/// object like any other, so a message holds it by the same rules, whoever dies: the depot closes a descriptor once its deposit is gone.
///
/// The first process takes deposits in, and gives them out, at a socket with an abstract name, by a thread that is started when somebody first connects.
package enum DescriptorDepot {
    struct Stored {
        let number: Int32
        let block: ObjectBlock
        let kind: DescriptorKind

        /// Whether anybody still holds the deposit.
        func isHeld(as ticket: UInt64) -> Bool { DescriptorDepot.ticket(at: UInt64(block.offset), kind, in: block.arena) == ticket }
    }

    // All guarded by `DescriptorService.lock`.
    private nonisolated(unsafe) static var stored: [UInt64: Stored] = [:]
    private nonisolated(unsafe) static var listener: Int32 = -1
    private nonisolated(unsafe) static var isServed = false
    private nonisolated(unsafe) static var isSweepDue = false
    /// What this process has fetched, while it is open, and is fetching: a result may be decoded more than once, and by several threads at once.
    private nonisolated(unsafe) static var fetched: [UInt64: Fetched] = [:]
    private nonisolated(unsafe) static var fetching: Set<UInt64> = []

    private struct Fetched { weak var descriptor: GuardedDescriptor? }

    /// Every 100 ms, while there are deposits, the depot looks for those that nobody holds any more. (Of those of its own process it is told.)
    private static let sweepInterval = Duration.milliseconds(100)

    // MARK: Its place

    /// Opens the depot, if this is the family's first process. Called before that starts another one, so that all find it. Costs some system calls and no thread.
    package static func open() {
        guard let arena = try? Arena.current() else { return }
        let own = CurrentProcess.identity(in: arena).bits
        _ = arena.word(ArenaHeader.depotProcess).pointee.compareExchange(
            expected: 0, desired: UInt64(own), ordering: .acquiringAndReleasing)
        if isHere(arena) { DescriptorService.lock.withLock { listen(arena) } }
    }

    static func isHere(_ arena: Arena) -> Bool {
        arena.word(ArenaHeader.depotProcess).pointee.load(ordering: .acquiring) == UInt64(CurrentProcess.identity(in: arena).bits)
    }

    /// Under the lock. Where there are no descriptors left, it is tried again when somebody leaves something.
    private static func listen(_ arena: Arena) {
        guard listener < 0 else { return }
        let secret = (UInt64.random(in: 1 ... .max), UInt64.random(in: 1 ... .max))
        guard let socket = try? LocalSocket.bind(to: name(secret)) else { return }
        guard (try? LocalSocket.listen(socket)) != nil else {
            close(socket)
            return
        }
        listener = socket
        arena.word(ArenaHeader.depotName + 8).pointee.store(secret.1, ordering: .relaxed)
        arena.word(ArenaHeader.depotName).pointee.store(secret.0, ordering: .releasing)
    }

    /// The socket at which nobody serves yet, for a thread that is there anyway to watch; -1: there is none. When it can be read from, call ``serve()``.
    package static var unservedListener: Int32 { DescriptorService.lock.withLock { isServed ? -1 : listener } }

    /// Has the service's thread serve from here on. Where there can be none, the depot is shut until somebody leaves something again.
    package static func serve() {
        let listener = DescriptorService.lock.withLock {
            defer { isServed = true }
            return isServed ? -1 : self.listener
        }
        guard listener >= 0 else { return }
        do { try DepotServer.serve(listener) } catch { shut() }
    }

    private static func shut() {
        DescriptorService.lock.withLock {
            if let arena = try? Arena.current() { arena.word(ArenaHeader.depotName).pointee.store(0, ordering: .releasing) }
            if listener >= 0 { close(listener) }
            (listener, isServed) = (-1, false)
        }
    }

    private static func name(_ secret: (UInt64, UInt64)) -> String {
        "multiprocessing-depot/\(String(secret.0, radix: 16))-\(String(secret.1, radix: 16))"
    }

    /// nil where the depot could not be opened.
    private static func name(in arena: Arena) -> String? {
        let first = arena.word(ArenaHeader.depotName).pointee.load(ordering: .acquiring)
        return first == 0 ? nil : name((first, arena.word(ArenaHeader.depotName + 8).pointee.load(ordering: .relaxed)))
    }

    // MARK: Leaving and fetching

    /// Leaves a copy of `descriptor`.
    /// - Returns: what names it, which must be kept until its receiver has it.
    static func deposit(_ descriptor: GuardedDescriptor, _ kind: DescriptorKind) throws -> DescriptorDeposit {
        guard descriptor.enter() else { throw ConnectionError.closed }
        defer { descriptor.leave() }
        let arena = try Arena.current()
        open()
        let deposit = try DescriptorDeposit(kind, in: arena)
        if isHere(arena) {
            store(Stored(number: try duplicate(descriptor.number), block: deposit.block, kind: kind), as: deposit.ticket)
            serve()
            if DescriptorService.lock.withLock({ listener < 0 }) { throw unopened }
        } else {
            _ = try ask(.store(kind), deposit.ticket, deposit.handle, arena, descriptor.number)
        }
        return deposit
    }

    /// Takes what was left as `handle`, which may be any number.
    static func fetch(_ handle: UInt64, _ kind: DescriptorKind) throws -> GuardedDescriptor {
        let arena = try Arena.current()
        guard let ticket = ticket(at: handle, kind, in: arena) else {
            throw SharedMemoryError("There is no descriptor of that kind at place \(handle) of the shared memory.")
        }
        // Several threads may decode one result at once: one of them fetches, the others get what it has got.
        while true {
            // A closed one is returned, too: it may be the last reference, whose end takes the lock.
            let (known, isOurs) = DescriptorService.lock.withLock {
                let known = fetched[ticket]?.descriptor
                return (known, known?.isClosed ?? true ? fetching.insert(ticket).inserted : false)
            }
            if let known, !isOurs, !known.isClosed { return known }
            if isOurs { break }
            usleep(50)
        }
        var descriptor: GuardedDescriptor?
        defer {
            DescriptorService.lock.withLock {
                fetching.remove(ticket)
                if let descriptor { fetched[ticket] = Fetched(descriptor: descriptor) }
            }
        }
        do {
            let number = isHere(arena) ? take(ticket)?.number : try ask(.fetch, ticket, handle, arena, nil)
            guard let number else { throw SystemError(code: ENOENT, call: "fetching a descriptor") }
            let new = GuardedDescriptor(owning: number, ticket: ticket)
            descriptor = new
            return new
        } catch let error as SystemError where error.code == ENOENT {
            throw SharedMemoryError(
                """
                What was sent has been received before, and is not open any more there: by a worker that has died, if this is another attempt at its task, or by \
                who decoded the same result before. Send it again.
                """)
        }
    }

    static func forget(_ ticket: UInt64) {
        // It may be another's by now, whose last reference this is.
        let descriptor = DescriptorService.lock.withLock {
            let descriptor = fetched[ticket]?.descriptor
            if descriptor == nil { fetched[ticket] = nil }
            return descriptor
        }
        withExtendedLifetime(descriptor) {}
    }

    /// The ticket of the deposit at `handle`, if there is one.
    fileprivate static func ticket(at handle: UInt64, _ kind: DescriptorKind, in arena: Arena) -> UInt64? {
        ObjectBlock.find(.deposit, elementSize: kind.rawValue, at: handle, in: arena).map {
            arena.word($0.offset + ObjectBlock.payload).pointee.load(ordering: .relaxed)
        }
    }

    static func ask(
        _ order: DepotRequest.Order, _ ticket: UInt64, _ handle: UInt64, _ arena: Arena, _ number: Int32?,
        body: UnsafeRawBufferPointer = .init(start: nil, count: 0), until deadline: Deadline? = nil
    ) throws -> Int32 {
        guard let name = name(in: arena) else { throw unopened }
        return try DepotClient.ask(
            DepotRequest(order, ticket: ticket, handle: handle), body: body, sending: number, at: name, until: deadline)
    }

    private static var unopened: SystemError {
        SystemError(code: EMFILE, call: "opening the depot through which descriptors reach other processes")
    }

    // MARK: What is stored

    /// Takes over the stored number.
    static func store(_ new: Stored, as ticket: UInt64) {
        let isFirst = DescriptorService.lock.withLock {
            stored[ticket] = new
            defer { isSweepDue = true }
            return !isSweepDue
        }
        if isFirst { planSweep() }
    }

    /// Gives away the stored number.
    static func take(_ ticket: UInt64) -> Stored? { DescriptorService.lock.withLock { stored.removeValue(forKey: ticket) } }

    /// Closes what nobody will fetch any more.
    private static func drop(_ ticket: UInt64) {
        let dropped = DescriptorService.lock.withLock {
            if let one = stored[ticket], !one.isHeld(as: ticket) { stored.removeValue(forKey: ticket) } else { Stored?.none }
        }
        if let dropped { close(dropped.number) }
    }

    private static func planSweep() {
        let sweep = DescriptorWatch(-1, until: Deadline(after: sweepInterval)) { _ in
            let tickets = DescriptorService.lock.withLock {
                isSweepDue = !stored.isEmpty
                return Array(stored.keys)
            }
            for ticket in tickets { drop(ticket) }
            if !tickets.isEmpty { planSweep() }
        }
        // Without a thread nothing is swept: the next deposit tries again.
        do { try DescriptorService.add(sweep) } catch { DescriptorService.lock.withLock { isSweepDue = false } }
    }

    /// How many descriptors wait here.
    package static var count: Int { DescriptorService.lock.withLock { stored.count } }

    /// In a forked child, with the lock held: what is stored is its parent's. Copies here would keep it open.
    static func forgetAfterFork() {
        for one in stored.values { close(one.number) }
        if listener >= 0 { close(listener) }
        (stored, listener, isServed, isSweepDue, fetching) = ([:], -1, false, false, [])
    }
}

/// A shared object that stands for a descriptor in the depot.
final class DescriptorDeposit: SharedObject {
    let block: ObjectBlock
    let ticket = UInt64.random(in: 1 ... .max)

    package var handle: UInt64 { UInt64(block.offset) }

    init(_ kind: DescriptorKind, in arena: Arena) throws {
        block = try ObjectBlock.make(.deposit, elementSize: kind.rawValue, count: 1, size: 8, in: arena)
        arena.word(block.offset + ObjectBlock.payload).pointee.store(ticket, ordering: .relaxed)
    }

    deinit {
        // Where the depot is, who has left something has sent it as an argument, and keeps this until the task has ended; or it is in a queue. Not asked for is
        // which processes hold the deposit: a forked copy of this one does, for as long as it lives.
        let isQueued = block.isHeldByKeeper
        HandleRegistry.release(block)
        if !isQueued, let stored = DescriptorDepot.take(ticket) { close(stored.number) }
    }
}
