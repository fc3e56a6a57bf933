import Foundation
import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// Errors say what to do next, and nothing that cannot be done.
    @Suite struct WordsTests {
        @Test func ofABarrier() throws {
            func text(_ cause: String) throws -> String {
                "\(try JSONDecoder().decode(BrokenBarrier.self, from: Data(#"{"cause":{"\#(cause)":{}}}"#.utf8)))"
            }
            #expect(try text("aborted").contains("until reset() is called"))
            let reset = try text("reset")
            #expect(reset.contains("begin anew") && !reset.contains("until reset") && !reset.contains("broken"))
        }

        @Test func ofWhatCannotBeWrittenElsewhere() throws {
            func text(_ object: some Encodable) throws -> String {
                "\(try errorThrown(EncodingError.self) { try JSONEncoder().encode([object]) })"
            }
            for written in [try text(SharedValue(1)), try text(SharedArray([1])), try text(SharedAtomic(1))] {
                #expect(written.contains("Encode its value instead"))
            }
            for written in [try text(SharedLock()), try text(SharedEvent()), try text(SharedBarrier(parties: 1))] {
                #expect(written.contains("Leave it out") && !written.contains("its value"))
            }
        }

        @Test func ofADeath() throws {
            let named = try SharedLock(name: "the ledger's lock")
            onThreads(1) { _ in try? named.lock() }
            let error = try errorThrown(OwnerDied.self) { try named.lock() }
            try named.unlock()
            #expect("\(error)".contains("the ledger's lock") && "\(error)".contains("withLock(repair:_:)"))
            let lock = try SharedReadWriteLock()
            let child = ChildProcess(lock) { (lock: SharedReadWriteLock) in try lock.withWriteLock { _ = die(.killed) } }
            try child.start()
            #expect(throws: WorkerTerminated.self) { try child.result() }
            let reading = "\(try errorThrown(OwnerDied.self) { try lock.withReadLock {} })"
            #expect(reading.contains("withWriteLock(repair:_:)") && !reading.contains("withLock(") && !reading.contains("unlock()"))
            try lock.withWriteLock(repair: {}) {}
        }

        @Test func ofASemaphore() throws {
            func text(_ bound: Int?, _ value: Int, _ count: Int) throws -> String {
                let semaphore = try SharedSemaphore(value, bound: bound)
                return "\(try errorThrown(SharedMemoryError.self) { try semaphore.release(count) })"
            }
            let bounded = try text(1, 1, 1)
            #expect(bounded.contains("1 cannot be released") && bounded.contains("higher bound"))
            let unbounded = try text(nil, 1, .max)
            #expect(!unbounded.contains("higher bound"))
        }

        @Test func ofWhatIsNoSharedObject() throws {
            let (mine, theirs) = try pipe()
            try theirs.send("seven")
            let error = try errorThrown(DecodingError.self) { try mine.receive(SharedValue<Int>.self) }
            #expect("\(error)".contains("a shared object, found a string"))
        }
    }
}
