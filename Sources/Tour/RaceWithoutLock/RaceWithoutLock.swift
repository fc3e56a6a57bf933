// The tutorial's sixth listing: two processes increment one shared number without a lock, and updates get lost.

import Multiprocessing

@main
struct RaceWithoutLock {
    static func main() throws {
        for _ in 1...100 {
            let integer = try SharedValue<Int32>(0)
            let ready = try SharedValue<Int32>(0)
            let processes = [
                Process(incrementValue, integer, ready),
                Process(incrementValue, integer, ready),
            ]
            for process in processes { try process.start() }
            for process in processes { try process.join() }
            let value = integer.value
            print(value)
            print(value == 2 ? "True" : "False")  // as Python spells it
        }
    }
}
