import Multiprocessing
import TestSupport
import Testing

/// All tests of what users see. One after the other, for several count what the process holds, or load the machine; and none may hang.
@Suite(.serialized, .watchdog(seconds: 120))
enum PublicInterface {}

extension StartMethod {
    /// What a test takes that must hold however workers come to be.
    static let all: [StartMethod] = [.forkServer, .fork, .spawn]
}

extension WorkerConfiguration {
    /// The defaults, but for the start method, and what `change` sets.
    init(_ method: StartMethod, _ change: (inout WorkerConfiguration) -> Void = { _ in }) {
        self.init()
        startMethod = method
        change(&self)
    }
}

/// Runs `body`, which is to throw an error of type `E`.
/// - Returns: that error.
func errorThrown<E: Error, R>(_ type: E.Type = E.self, sourceLocation: SourceLocation = #_sourceLocation, by body: () throws -> R) throws
    -> E
{
    try #require(throws: type, sourceLocation: sourceLocation) { _ = try body() }
}
