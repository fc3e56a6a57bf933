import SystemLayer
import TestSupport
import Testing

@testable import SharedState

/// What a barrier does at moments that are not easily met from outside.
@Suite(.watchdog(seconds: 120)) struct BarrierTests {
    private let barrier: SharedBarrier
    private let token: UInt32

    init() throws {
        barrier = try SharedBarrier(parties: 2)
        token = ThreadRecords.currentToken(in: barrier.arena)
    }

    /// - Returns: the place, and in which generation.
    private func come() throws -> (Int, UInt32) {
        guard case .here(let index, let state) = try barrier.come(as: { BarrierPlace(of: token, in: $0) }) else {
            throw SharedMemoryError("somebody has not left yet")
        }
        return (index, state.generation)
    }

    /// It has passed, too: the others, who go on, are not to find it broken.
    @Test func whoGivesUpAsAllHaveComeBreaksNothing() throws {
        let (first, second) = (try come(), try come())
        barrier.giveUp(.timedOut)
        for (index, generation) in [first, second] {
            #expect(try barrier.outcome(index) == index)
            barrier.leave(index, generation)
        }
        #expect(!barrier.isBroken)
        let alone = try come()
        barrier.giveUp(.cancelled)
        #expect(throws: BrokenBarrier(cause: .cancelled)) { try barrier.outcome(alone.0) }
        barrier.leave(alone.0, alone.1)
        #expect(barrier.isBroken)
    }

    /// It is told that it is early; and, should it not want to wait, the others that it will not come.
    @Test func whoIsEarlyAndGivesUpBreaksTheNextGeneration() throws {
        let (first, second) = (try come(), try come())
        guard case .early(let state) = try barrier.come(as: { BarrierPlace(of: token, in: $0) }) else {
            Issue.record("there is a place, though nobody has left")
            return
        }
        #expect(barrier.hasEnded(state) == nil)
        barrier.breakUp(.timedOut)
        for (index, generation) in [first, second] {
            #expect(try barrier.outcome(index) == index)
            barrier.leave(index, generation)
        }
        #expect(barrier.hasEnded(state) != nil)
        #expect(throws: BrokenBarrier(cause: .timedOut)) { try come() }
    }

    @Test func aTaskLivesAsLongAsItsProcess() throws {
        let own = CurrentProcess.identity(in: barrier.arena)
        #expect(BarrierPlace(ofTaskIn: own, in: 7).isLive(in: barrier.arena))
        let other = try ProcessTable.enter(parent: own, in: barrier.arena)
        let place = BarrierPlace(ofTaskIn: other, in: 7)
        #expect(place.isLive(in: barrier.arena))
        #expect(!place.isFree)
        #expect(place.generation == 7)
        ProcessTable.reclaim(other, in: barrier.arena)
        #expect(!place.isLive(in: barrier.arena))
        // The place of another life in the table.
        let next = try ProcessTable.enter(parent: own, in: barrier.arena)
        #expect(!place.isLive(in: barrier.arena))
        ProcessTable.reclaim(next, in: barrier.arena)
        #expect(!BarrierPlace(of: token, in: 7).isFree)
        #expect(BarrierPlace(of: token, in: 7).isLive(in: barrier.arena))
    }
}
