import BinaryCoding
import Testing
import WorkTransfer

struct TransferTests {
    @Test(arguments: samples().map(\.name))
    func functionRunsFromItsDescription(_ name: String) throws {
        let sample = try #require(samples().first { $0.name == name })
        let description = try sample.invocation.describe()
        let invocation = try description.withUnsafeBytes { try resolveInvocation($0) }
        let arguments = HeapByteWriter()
        try sample.encode(arguments)
        var reader = ByteReader(arguments.written)
        let result = HeapByteWriter()
        try invocation.invoke(arguments: &reader, result: result)
        var output = ByteReader(result.written)
        #expect(try sample.check(&output))
        #expect(reader.remaining == 0)
    }
}
