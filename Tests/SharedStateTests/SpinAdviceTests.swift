import Glibc
import Synchronization
import SystemLayer
import TestSupport
import Testing

@testable import SharedState

/// Whether who waits spins.
@Suite struct SpinAdviceTests {
    private let word = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: 1)
    private let advice: SpinAdvice

    init() throws {
        word.initialize(to: Atomic(0))
        advice = SpinAdvice(word: word, arena: try Arena.current())
    }

    /// Of so many questions, how many are answered by yes.
    private func yes(of questions: Int) -> Int { (0..<questions).count { _ in advice.maySpin } }

    @Test func isTriedUntilItHasBeenInVain() {
        guard Machine.hasSeveralProcessors else { return #expect(yes(of: 100) == 0) }
        #expect(yes(of: 100) == 100)
        advice.note(paid: false)
        #expect(yes(of: 100) == 100)
    }

    /// More processes than processors, as it seems: here they are only said to be there.
    @Test func isRareWhereItDoesNotPay() throws {
        guard Machine.hasSeveralProcessors else { return }
        try withCrowd {
            for _ in 0..<1000 { advice.note(paid: false) }
            let rare = yes(of: 100_000)
            #expect(rare > 0 && rare < 10_000, "\(rare) of 100,000")
            // A few that pay, and it is as at first, however many were in vain.
            for _ in 0..<4 { advice.note(paid: true) }
            #expect(yes(of: 100) == 100)
        }
        // With processors to spare it is always tried.
        for _ in 0..<1000 { advice.note(paid: false) }
        if RunnableProcesses.count(in: advice.arena) <= Machine.processors { #expect(yes(of: 100) == 100) }
    }

    private func withCrowd(_ body: () -> Void) throws {
        let slots = (900..<900 + Machine.processors + 1).map { ProcessIdentity(slot: $0, generation: 0) }
        for slot in slots { RunnableProcesses.add(slot, in: advice.arena) }
        defer { for slot in slots { RunnableProcesses.remove(slot, in: advice.arena) } }
        body()
    }
}

private enum Machine {
    static let processors = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    static var hasSeveralProcessors: Bool { processors > 1 }
}
