/// Run in a worker, or in a task of a group: next to nothing, so that what is measured is the way there and back.
func square(_ number: Int) -> Int {
    number &* number
}

/// Run in a worker: nothing.
func doNothing() {}

/// Throws unless `sum` is what the squares of the numbers below `tasks` add up to.
func checkSum(_ sum: Int, tasks: Int) throws {
    let expected = (0..<tasks).reduce(0) { $0 &+ square($1) }
    if sum != expected { throw WrongResults(sum: sum, expected: expected) }
}

/// Tasks came back with other results than their own, or not at all.
struct WrongResults: Error, CustomStringConvertible {
    let sum: Int
    let expected: Int

    var description: String { "the results of the tasks add up to \(sum) instead of \(expected)" }
}
