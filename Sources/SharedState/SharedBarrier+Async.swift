import SystemLayer

extension SharedBarrier {
    /// The calls that wait, for asynchronous functions.
    public var async: Async { Async(barrier: self) }

    /// Waits at a barrier without blocking a thread of the concurrency pool: one thread waits for all tasks of the process. When the task is cancelled, a wait ends at
    /// once by a `CancellationError`, and the barrier breaks, as its party will not come.
    public struct Async: Sendable {
        fileprivate let barrier: SharedBarrier

        /// As ``SharedBarrier/wait()``.
        public func wait() async throws -> Int { try await barrier.waitAsynchronously(until: .never) }

        /// As ``SharedBarrier/wait(timeout:)``.
        public func wait(timeout: Duration) async throws -> Int { try await barrier.waitAsynchronously(until: Deadline(after: timeout)) }
    }

    private func waitAsynchronously(until deadline: Deadline) async throws -> Int {
        // A task is in no thread in particular: what it came to a barrier for is lost when its process dies.
        let process = CurrentProcess.identity(in: arena)
        while true {
            switch try come(as: { BarrierPlace(ofTaskIn: process, in: $0) }) {
            case .early(let current):
                do {
                    if try await queue.waitAsynchronously(until: deadline, { self.hasEnded(current) }) != nil { continue }
                } catch {
                    breakUp(.cancelled)
                    throw error
                }
                breakUp(.timedOut)
                throw BrokenBarrier(cause: .timedOut)
            case .here(let index, let current):
                defer { leave(index, current.generation) }
                do {
                    if try await queue.waitAsynchronously(until: deadline, { self.hasEnded(current) }) == nil { giveUp(.timedOut) }
                } catch {
                    giveUp(.cancelled)
                    // Unless all had come just then.
                    if state.phase != .draining { throw error }
                }
                return try outcome(index)
            }
        }
    }
}
