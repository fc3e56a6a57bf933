import TestSupport
import Testing

@testable import SharedState

@Suite(.watchdog(seconds: 120)) struct HandleTableTests {
    /// Against a dictionary, with few enough offsets that they meet in the table, and many enough that it grows.
    @Test(arguments: [3, 40, 5000]) func countsAsADictionaryDoes(offsets: Int) {
        var random = SystemRandomNumberGenerator()
        var table = HandleTable()
        var counts: [Int: Int] = [:]
        for step in 0..<50_000 {
            let offset = 64 * Int.random(in: 1...offsets, using: &random)
            // It fills and empties in turns.
            if Int.random(in: 0..<10, using: &random) < (step / 5000 % 2 == 0 ? 7 : 3) {
                let isFirst = table.increment(offset)
                #expect(isFirst == (counts[offset] == nil))
                counts[offset, default: 0] += 1
            } else {
                let isLast = table.decrement(offset)
                #expect(isLast == (counts[offset] == 1))
                if let count = counts[offset] { counts[offset] = count == 1 ? nil : count - 1 }
            }
        }
        var held: [Int] = []
        table.forEach { held.append($0) }
        #expect(held.sorted() == counts.keys.sorted())
    }
}
