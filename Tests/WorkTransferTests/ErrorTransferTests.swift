import BinaryCoding
import Testing
import WorkTransfer

struct ErrorTransferTests {
    private enum Hidden: Error, Codable, Equatable { case code(Int), text(String) }
    private struct Generic<T: Codable & Equatable & Sendable>: Error, Codable, Equatable { var value: T }
    private final class Object: Error, Codable {
        let value: Int
        init(_ value: Int) { self.value = value }
    }
    private struct Plain: Error, CustomStringConvertible { var description: String { "a plain error" } }
    private struct CannotEncode: Error, Codable, CustomStringConvertible {
        var description: String { "half" }
        func encode(to encoder: any Encoder) throws {
            var container = encoder.unkeyedContainer()
            try container.encode("something")
            throw Plain()
        }
    }
    private struct CannotDecode: Error, Codable, CustomStringConvertible {
        var description: String { "there and not back" }
        init() {}
        init(from decoder: any Decoder) throws { throw Plain() }
        func encode(to encoder: any Encoder) throws {}
    }

    private func through(_ error: any Error) -> any Error {
        let writer = HeapByteWriter()
        ErrorTransfer.encode(error, to: writer)
        var reader = ByteReader(writer.written)
        let result = ErrorTransfer.decode(from: &reader)
        #expect(reader.remaining == 0 || result is TransferError)
        return result
    }

    @Test func codableErrorsArriveAsThemselves() {
        struct Local: Error, Codable, Equatable { var n: Int }
        #expect(through(Hidden.code(3)) as? Hidden == .code(3))
        #expect(through(Hidden.text("x")) as? Hidden == .text("x"))
        #expect(through(Local(n: 2)) as? Local == Local(n: 2))
        #expect(through(Generic(value: [Hidden.code(1)])) as? Generic<[Hidden]> == Generic(value: [.code(1)]))
        #expect((through(Object(4)) as? Object)?.value == 4)
        #expect(through(CancellationError()) is CancellationError)
        #expect(through(TransferError.capturesState("a")) as? TransferError == .capturesState("a"))
        let remote = through(Plain())
        #expect(through(remote) as? RemoteError == remote as? RemoteError)
    }

    @Test func otherErrorsArriveAsWhatTheySaid() throws {
        let error = try #require(through(Plain()) as? RemoteError)
        #expect(error.typeName == "WorkTransferTests.ErrorTransferTests.Plain")
        #expect(error.description == "a plain error")
        #expect("\(error)" == "a plain error")
    }

    @Test func localTypesHaveReadableNames() throws {
        struct Local: Error { var n = 1 }
        let error = try #require(through(Local()) as? RemoteError)
        #expect(error.typeName == "WorkTransferTests.ErrorTransferTests.Local" || error.typeName.hasSuffix(".Local"))
        #expect(!error.typeName.contains("$"))
    }

    @Test func errorThatFailsHalfWayLeavesNothingOfItself() throws {
        let error = try #require(through(CannotEncode()) as? RemoteError)
        #expect(error.description == "half")
    }

    @Test func textOfAnErrorThatCannotBeDecodedIsNotLost() throws {
        guard case .cannotDecode(let text)? = through(CannotDecode()) as? TransferError else {
            Issue.record("arrived")
            return
        }
        #expect(text.contains("there and not back") && text.contains("CannotDecode"))
    }

    @Test func damagedBytesAreAnError() {
        let writer = HeapByteWriter()
        ErrorTransfer.encode(Hidden.text("abc"), to: writer)
        for length in 0..<writer.count {
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: writer.written.prefix(length)))
            #expect(ErrorTransfer.decode(from: &reader) is TransferError)
        }
        for index in 0..<writer.count {
            var bytes = writer.bytes
            bytes[index] ^= 0x10
            bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                _ = ErrorTransfer.decode(from: &reader)
            }
        }
    }

    @Test func noMemoryForAnErrorIsAnErrorOnTheOtherSide() {
        final class Full: ByteWriter {
            struct NoMemory: Error {}
            override func grow(minimumCapacity: Int) throws -> UnsafeMutableRawBufferPointer { throw NoMemory() }
        }
        withUnsafeTemporaryAllocation(byteCount: 8, alignment: 8) { memory in
            let writer = Full(memory)
            ErrorTransfer.encode(Hidden.text("a text that does not fit"), to: writer)
            var reader = ByteReader(writer.written)
            #expect(ErrorTransfer.decode(from: &reader) is TransferError)
        }
    }

    @Test func sharedObjectsInAnErrorAreKeptAlive() {
        let writer = HeapByteWriter()
        ErrorTransfer.encode(Sharing(object: Node(1)), to: writer)
        #expect(writer.retained.count == 1)
        #expect(writer.retained.first is Node)
    }

    private struct Sharing: Error, Codable {
        var object = Node(0)
        init(object: Node) { self.object = object }
        init(from decoder: any Decoder) throws {}
        func encode(to encoder: any Encoder) throws {
            try (encoder as? any SharedHandleEncoder)?.encode(handle: 7, of: object)
        }
    }

    @Test func errorsArriveFromAnotherProcess() throws {
        let functions = [
            Invocation { (n: Int) throws -> Int in throw Hidden.code(n) }, Invocation { (n: Int) throws -> Int in throw Plain() },
            Invocation { (n: Int) throws -> Int in throw CancellationError() },
        ]
        let outcomes = try SecondProcess.run(
            functions.map { function in
                let arguments = HeapByteWriter()
                try Invocation<Int, Int>.encodeArguments(7, to: arguments)
                return SecondProcess.Task(description: try function.describe(), arguments: arguments.bytes)
            }
        ).outcomes
        let errors = outcomes.compactMap { outcome -> (any Error)? in
            guard case .error(let error) = outcome else { return nil }
            return error
        }
        try #require(errors.count == 3)
        #expect(errors[0] as? Hidden == .code(7))
        #expect((errors[1] as? RemoteError)?.description == "a plain error")
        #expect(errors[2] is CancellationError)
    }
}
