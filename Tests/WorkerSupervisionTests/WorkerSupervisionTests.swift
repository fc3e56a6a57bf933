import TestSupport
import Testing
import WorkerSupervision

@Suite struct WorkerConfigurationTests {
    @Test func byteCounts() {
        #expect(ByteCount.kibibytes(1) == .bytes(1024))
        #expect(ByteCount.gibibytes(1) == .mebibytes(1024))
        #expect(ByteCount.mebibytes(1) < .mebibytes(2))
    }

    @Test func defaultsAreValid() throws {
        try WorkerConfiguration().validate()
    }

    @Test func refusalsSayWhatWouldBeRight() throws {
        var configuration = WorkerConfiguration()
        configuration.maxTasksPerWorker = -2
        let error = try #require(throws: UsageError.self) { try configuration.validate() }
        for part in ["maxTasksPerWorker", "-2", "1 or more"] { #expect(error.description.contains(part)) }
    }
}
