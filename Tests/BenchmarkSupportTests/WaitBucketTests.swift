import CBaselines
import SharedState
import Testing

/// The waits that C and Swift count are read with the library's arithmetic: both must mean the same buckets.
@Suite struct WaitBucketTests {
    private static let edges: [UInt64] = (4..<42).flatMap { power in
        (0..<16).flatMap { sixteenth in
            let edge = UInt64(16 + sixteenth) << UInt64(power - 4)
            return [edge - 1, edge, edge + 1]
        }
    }

    @Test func bucketsAreTheLibrarys() {
        #expect(Int(CB_WAIT_BUCKETS) == DurationBuckets.count)
        for wait in Array(0...100) + Self.edges + [UInt64.max] {
            #expect(Int(cb_wait_bucket(wait)) == DurationBuckets.index(of: wait), "\(wait) ns")
        }
    }
}
