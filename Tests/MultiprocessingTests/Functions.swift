import Glibc
import Multiprocessing

// What the tests have workers do.

@Sendable func double(_ n: Int) -> Int { 2 * n }
@Sendable func add(_ a: Int, _ b: Int) -> Int { a + b }
@Sendable func greet(_ name: String, _ times: Int) -> String { Array(repeating: "Hello \(name)", count: times).joined(separator: ", ") }
@Sendable func doNothing() {}
@Sendable func sleepForEver() { while true { pause() } }
@Sendable func processIdentifier() -> Int32 { getpid() }
@Sendable func pass<T>(_ value: T) -> T { value }

struct Refusal: Error, Codable, Equatable {
    let reason: String
    var code = 0
}

/// An error that cannot travel as itself.
struct LocalTrouble: Error, CustomStringConvertible {
    let description: String
}

@Sendable func refuse(_ reason: String) throws -> Int { throw Refusal(reason: reason, code: 7) }
@Sendable func getIntoTrouble() throws -> Int { throw LocalTrouble(description: "the disk is on fire") }
@Sendable func refuseOdd(_ n: Int) throws -> Int {
    if n % 2 == 1 { throw Refusal(reason: "odd", code: n) }
    return n
}

/// The ways in which a process ends without finishing its work.
enum Death: String, Codable, CaseIterable, Sendable {
    case exit0, exit3, quickExit, trap, killed, terminated, aborted, badAccess

    func happen() {
        switch self {
        case .exit0: exit(0)
        case .exit3: exit(3)
        case .quickExit: _exit(4)
        case .trap: Swift.precondition(rawValue.isEmpty, "as the test wants it")
        case .killed: kill(getpid(), SIGKILL)
        case .terminated: raise(SIGTERM)
        case .aborted: abort()
        case .badAccess: raise(SIGSEGV)
        }
    }

    func isShown(by status: TerminationStatus) -> Bool {
        switch self {
        case .exit0: status == .exited(0)
        case .exit3: status == .exited(3)
        case .quickExit: status == .exited(4)
        // The instruction that ends it, and so the signal, differs between processors.
        case .trap: [SIGILL, SIGTRAP].contains { status == .signaled($0) }
        case .killed: status == .signaled(SIGKILL)
        case .terminated: status == .signaled(SIGTERM)
        case .aborted: status == .signaled(SIGABRT)
        case .badAccess: status == .signaled(SIGSEGV)
        }
    }
}

@Sendable func die(_ how: Death) -> Int {
    how.happen()
    return 0
}

/// Tells that it has begun, then stays until it is ended.
@Sendable func beginAndStay(_ begun: SharedValue<Int>) {
    begun.withLock { $0 += 1 }
    sleepForEver()
}

/// Tells that it has begun, then waits until it is let go.
@Sendable func beginAndWait(_ begun: SharedValue<Int>, _ release: SharedValue<Int>) -> Int {
    begun.withLock { $0 += 1 }
    while release.value == 0 { usleep(500) }
    return release.value
}

/// Encodes a handle to one thing, and decodes it as one to another.
struct Disguise<Real: Codable & Sendable, Claimed: Codable & Sendable>: Codable, Sendable {
    private let real: Real?
    private let claimed: Claimed?

    init(_ real: Real, as _: Claimed.Type) {
        self.real = real
        claimed = nil
    }
    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        // Not as an optional: then there would be more than the handle.
        if let real { try container.encode(real) }
    }
    init(from decoder: any Decoder) throws {
        real = nil
        claimed = try decoder.singleValueContainer().decode(Claimed.self)
    }
}
