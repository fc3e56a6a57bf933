import Multiprocessing
import TestSupport
import Testing

extension PublicInterface {
    /// Under a limit on the size of files, which the kernel takes shared memory for.
    @Suite struct FileLimitTests {
        @Test func thereIsAsMuchAsMayBe() throws {
            // As after `ulimit -f 100000`.
            let program = try Program("HostFixture", "file-limit", "\(100_000 << 10)")
            let lines = program.readRest()
            #expect(program.wait() == 0)
            #expect(lines.first == "42")
            #expect(lines.count == 4 && lines.dropFirst().prefix(2).allSatisfy { $0.contains("ulimit -f") }, "\(lines)")
            #expect(lines.last == "1000000")
        }

        @Test func whereThereIsNoneItIsSaid() throws {
            let program = try Program("HostFixture", "file-limit", "1000000")
            let lines = program.readRest()
            #expect(program.wait() == 0)
            #expect(!lines.isEmpty && lines.prefix(3).allSatisfy { $0.contains("ulimit -f") }, "\(lines)")
        }
    }
}
