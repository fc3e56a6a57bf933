import Glibc
import Multiprocessing

// Programs that share memory by name, and one that has no descriptors left.

/// Creates the segment that its arguments name, writes its pid at both ends, and stays.
@Sendable func segmentKeep(_ arguments: [String]) async throws {
    let segment = try SharedMemory.create(name: arguments[0], size: Int(arguments[1]) ?? 0)
    segment.sign()
    withExtendedLifetime(segment) { stay() }
}

/// Waits at a gate, another segment, until it opens; then tries to create what others try to create, too, and otherwise opens it as soon as it can be.
@Sendable func segmentRace(_ arguments: [String]) async throws {
    let (name, size) = (arguments[0], Int(arguments[2]) ?? 0)
    let gate = try SharedMemory.open(name: arguments[1])
    say("ready")
    while gate.withUnsafeMutableBytes({ $0.load(as: Int32.self) }) == 0 { usleep(50) }
    do {
        let segment = try SharedMemory.create(name: name, size: size)
        segment.sign()
        say("won")
        withExtendedLifetime(segment) { stay() }
    } catch let error as SharedMemoryError {
        while true {
            guard let segment = try? SharedMemory.open(name: name) else { continue }
            // All of it is there: the last byte, too.
            guard segment.size == size, segment.withUnsafeMutableBytes({ $0[size - 1] }) < 255 else { fatalError("half a segment") }
            say(error.description.contains("already") ? "lost" : "\(error)")
            stay()
        }
    }
}

/// Opens a segment, shows it, changes it, and unlinks it.
@Sendable func segmentUse(_ arguments: [String]) async throws {
    let segment = try SharedMemory.open(name: arguments[0])
    say("\(segment.name) \(segment.size) \(segment.withUnsafeMutableBytes { $0.load(as: Int32.self) })")
    segment.sign()
    say(getpid())
    try SharedMemory.unlink(name: arguments[0])
    do { _ = try SharedMemory.open(name: arguments[0]) } catch let error as SharedMemoryError {
        say(error.description.contains("no shared memory"))
    }
}

extension SharedMemory {
    fileprivate func sign() {
        withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: getpid(), as: Int32.self)
            if bytes.count > 8 { bytes[bytes.count - 1] = 1 }
        }
    }
}

/// Takes all descriptors that this process may still have.
private func takeAllDescriptors() -> [Int32] {
    var limit = rlimit(rlim_cur: 64, rlim_max: 64)
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    var taken: [Int32] = []
    // Until nothing is closed any more by a thread that is still about it.
    for _ in 0..<20 {
        while case let number = dup(0), number >= 0 { taken.append(number) }
        usleep(1000)
    }
    return taken
}

/// Says whether a lack of descriptors is why `body` fails.
private func attempt(_ what: String, _ body: () throws -> Void) {
    do {
        try body()
        say("\(what): done")
    } catch let error as SystemError { say("\(what): \(error.code == EMFILE)") } catch { say("\(what): \(error)") }
}

/// Descriptors are lacking at the first use of the library, and then no more.
@Sendable func descriptorsLater(_: [String]) async throws {
    let taken = takeAllDescriptors()
    attempt("lock") { _ = try SharedLock() }
    attempt("pool") { say(try withPool(processes: 1) { try $0.apply({ $0 * 2 }, 21) }) }
    for number in taken { close(number) }
    attempt("lock") { _ = try SharedLock() }
    attempt("pool") { say(try withPool(processes: 1) { try $0.apply({ $0 * 2 }, 21) }) }
}

/// What needs a descriptor where there is none left: an error each time, and all is well again when there is one.
@Sendable func fewDescriptors(_: [String]) async throws {
    let (a, b) = try pipe()
    try a.send(1)
    try a.send(descriptor: 0)
    try a.send("next")
    // The service's thread, and a name.
    let kept = try SharedMemory.create(name: "few-descriptors-\(getpid())", size: 100)
    _ = try SharedMemory.open(name: kept.name)
    let taken = takeAllDescriptors()
    attempt("pipe") { _ = try pipe() as (Connection, Connection) }
    attempt("receive") { say(try b.receive(Int.self)) }
    attempt("receive descriptor") { _ = try b.receiveDescriptor() }
    attempt("receive next") { say(try b.receive(String.self)) }
    attempt("send large") { try a.send([Int](repeating: 1, count: 100_000)) }
    attempt("send descriptor") { try a.send(descriptor: 0) }
    attempt("wait") { say(try b.receive(Int.self, timeout: .milliseconds(5)) ?? -1) }
    attempt("create") { _ = try SharedMemory.create(name: "another-\(getpid())", size: 100) }
    attempt("open") { _ = try SharedMemory.open(name: kept.name) }
    for number in taken { close(number) }
    attempt("create") { _ = try SharedMemory.create(name: "another-\(getpid())", size: 100) }
    attempt("open") { _ = try SharedMemory.open(name: kept.name) }
    attempt("pipe") { _ = try pipe() as (Connection, Connection) }
}
