import Foundation
import SharedState
import TestSupport
import Testing

/// Shared objects within one process.
@Suite(.watchdog(seconds: 120)) struct SharedValueAloneTests {
    @Test func foreignEncodersAreRefused() throws {
        let shared = try SharedValue<Int>(1)
        let error = try #require(throws: EncodingError.self) { try JSONEncoder().encode([shared]) }
        guard case .invalidValue(_, let context) = error else { throw error }
        #expect(context.debugDescription.contains("value"), "it says what to do instead")
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([SharedValue<Int>].self, from: Data("[1]".utf8)) }
    }

    @Test func countsAreExactBetweenThreads() async throws {
        let shared = try SharedValue<Int>(0)
        await withTaskGroup { group in
            for _ in 0..<8 { group.addTask { for _ in 0..<5000 { shared.withLock { $0 += 1 } } } }
        }
        #expect(shared.value == 40_000)
    }
}
