import BinaryCoding
import Glibc
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
        #expect(output.remaining == 0)
    }

    @Test func everyFunctionRunsInAnotherProcess() throws {
        let samples = samples()
        let tasks = try samples.map { sample in
            let arguments = HeapByteWriter()
            try sample.encode(arguments)
            return SecondProcess.Task(description: try sample.invocation.describe(), arguments: arguments.bytes)
        }
        let (outcomes, address) = try SecondProcess.run(tasks)
        for (sample, outcome) in zip(samples, outcomes) {
            guard case .result(let bytes) = outcome else {
                Issue.record("\(sample.name): \(outcome)")
                continue
            }
            try bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                let isRight = try sample.check(&reader)
                #expect(isRight, "\(sample.name)")
            }
        }
        // Otherwise nothing has been shown: a process that lies at the same addresses would have got by with absolute ones.
        try #require(address != SecondProcess.codeAddress, "address space randomisation is off (setarch -R?); these tests need it")
    }

    @Test func theSameFunctionOnceMadeAnewIsTheSameDescription() throws {
        for sample in samples() {
            let description = try sample.invocation.describe()
            let again = try description.withUnsafeBytes { try resolveInvocation($0) }
            let host = again.hostInvocation
            #expect(try host.describe() == description, "\(sample.name)")
            #expect(try host.identity == sample.invocation.identity, "\(sample.name)")
        }
    }

    @Test func identitiesTellFunctionsApart() throws {
        for (sample, other) in zip(samples(), samples()) {
            #expect(try sample.invocation.identity == other.invocation.identity, "\(sample.name)")
        }
        // The same code with other captured types is another function.
        let generic = [Int.self as any (Zero & Equatable).Type, [Int].self, [[Int]].self].flatMap { literals(ofAny: $0) }
        #expect(try Set(generic.map { try $0.invocation.identity }).count == generic.count)
        #expect(try Invocation(addOne).identity != Invocation(addTwo).identity)
    }

    /// Eight bytes that are an address in this process would be read as one in another.
    @Test func descriptionsHoldNoAddress() throws {
        for sample in samples() {
            let description = try sample.invocation.describe()
            description.withUnsafeBytes { bytes in
                for offset in 0...(bytes.count - 8) {
                    let value = bytes.loadUnaligned(fromByteOffset: offset, as: UInt.self)
                    // Images, heaps, stacks and libraries lie in here; below is the arena, which is at one address in all processes.
                    guard value >= 1 << 44, value < 1 << 47 else { continue }
                    #expect(!isMapped(value), "\(sample.name): byte \(offset) of \(bytes.count)")
                }
            }
            #expect(description.count < 4096)
        }
    }

    private func isMapped(_ address: UInt) -> Bool {
        var resident: UInt8 = 0
        return mincore(UnsafeMutableRawPointer(bitPattern: address & ~4095), 1, &resident) == 0
    }
}

/// Opens the existential type.
private func literals(ofAny type: any (Zero & Equatable).Type) -> [Sample] {
    func open<T: Zero & Equatable>(_ type: T.Type) -> [Sample] { literals(inGenericFunctionOf: type) }
    return open(type)
}
