import CBaselines

/// Worker processes in C that are told of each task by a message through a pipe, and say its result through another.
final class Pipes {
    private let handle: OpaquePointer

    /// Forks a worker for each entry, pinned to that processor; nil leaves it where the scheduler puts it.
    init(processors: [Int?]) throws {
        let places = processors.map { Int32($0 ?? -1) }
        guard let handle = cb_pipes_start(places, Int32(places.count)) else {
            throw BaselineFailure.call("fork of the workers behind pipes")
        }
        self.handle = handle
    }

    deinit { cb_pipes_stop(handle) }

    /// Has the numbers below `tasks` squared; the time in ns. Blocks.
    func square(tasks: Int) throws -> Double {
        var length: UInt64 = 0
        var sum: UInt64 = 0
        guard cb_pipes_square(handle, UInt64(tasks), &length, &sum) == 0 else { throw BaselineFailure.call("tasks through pipes") }
        try checkSum(Int(truncatingIfNeeded: sum), tasks: tasks)
        return Double(length)
    }
}
