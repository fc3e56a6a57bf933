import BinaryCoding
import Testing
import WorkTransfer

struct InvocationTests {
    private struct Stubborn: Codable, Sendable {
        struct Refused: Error {}
        func encode(to encoder: any Encoder) throws { throw Refused() }
    }
    private enum Failure: Error, Equatable { case expected(Int) }

    @Test func argumentThatCannotBeEncodedIsNamed() {
        #expect { try Invocation<Int, Stubborn, Int>.encodeArguments(1, Stubborn(), to: HeapByteWriter()) } throws: { error in
            guard case TransferError.cannotEncode(let text) = error else { return false }
            return text.contains("argument 2") && text.contains("Stubborn") && text.contains("Refused")
        }
        #expect { try VoidInvocation<Stubborn>.encodeArguments(Stubborn(), to: HeapByteWriter()) } throws: { error in
            guard case TransferError.cannotEncode(let text) = error else { return false }
            return text.contains("argument 1") && text.contains("-> Void")
        }
    }

    @Test func resultThatCannotBeEncodedIsNamed() {
        var none = ByteReader(UnsafeRawBufferPointer(start: nil, count: 0))
        do throws(InvocationFailure) {
            try Invocation { Stubborn() }.invoke(arguments: &none, result: HeapByteWriter())
            Issue.record("encoded")
        } catch {
            guard case .transfer(let failure) = error, case .cannotEncode(let text) = failure else {
                Issue.record(error)
                return
            }
            #expect(text.contains("result") && text.contains("Stubborn"))
        }
    }

    @Test func resultThatCannotBeDecodedIsNamed() {
        var none = ByteReader(UnsafeRawBufferPointer(start: nil, count: 0))
        #expect { try Invocation<Int, [String]>.decodeOutput(from: &none) } throws: { error in
            guard case TransferError.cannotDecode(let text) = error else { return false }
            return text.contains("Swift.Array<Swift.String>")
        }
    }

    /// Also when it is of the kind that a failed transfer throws.
    @Test func thrownErrorIsTheFunctionsOwn() throws {
        var none = ByteReader(UnsafeRawBufferPointer(start: nil, count: 0))
        do throws(InvocationFailure) {
            try Invocation { () throws -> Int in throw Failure.expected(3) }.invoke(arguments: &none, result: HeapByteWriter())
            Issue.record("did not throw")
        } catch {
            guard case .thrown(let error) = error else {
                Issue.record(error)
                return
            }
            #expect(error as? Failure == .expected(3))
        }
        do throws(InvocationFailure) {
            try VoidInvocation { () throws in throw TransferError.cannotDecode("mine") }.invoke(arguments: &none, result: HeapByteWriter())
            Issue.record("did not throw")
        } catch {
            guard case .thrown(let error) = error else {
                Issue.record(error)
                return
            }
            #expect(error as? TransferError == .cannotDecode("mine"))
        }
    }

    @Test func invocationsFollowOneAnotherInTheSameBytes() throws {
        let arguments = HeapByteWriter()
        for n in 0..<10 { try Invocation<Int, Int>.encodeArguments(n, to: arguments) }
        var reader = ByteReader(arguments.written)
        for n in 0..<10 {
            let result = HeapByteWriter()
            try Invocation(addOne).invoke(arguments: &reader, result: result)
            var output = ByteReader(result.written)
            #expect(try Invocation<Int, Int>.decodeOutput(from: &output) == n + 1)
        }
        #expect(reader.remaining == 0)
    }

    @Test func functionsAreNamedAsInTheSource() {
        #expect(Invocation(addOne).functionName == "WorkTransferTests.addOne(Int) -> Int")
        let variable: @Sendable (Int) -> Int = opaque(addOne)
        #expect(Invocation(variable).functionName == "WorkTransferTests.addOne(Int) -> Int")
        #expect(Invocation { (n: Int) in n }.functionName.contains("functionsAreNamedAsInTheSource"))
        // The hash of the file, by which the linker tells private names apart, is left out.
        #expect(
            Invocation { (s: [Stubborn]) in s.count }.functionName.contains("(Array<WorkTransferTests.InvocationTests.Stubborn>) -> Int"))
    }

    @Test func identityCostsNoMemory() throws {
        // A trivial key: copied as bytes, so that a cache look-up owns nothing.
        #expect(_isPOD(FunctionIdentity.self))
    }
}
