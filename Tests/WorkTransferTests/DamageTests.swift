import BinaryCoding
import Testing
import WorkTransfer

/// A description may be anything.
struct DamageTests {
    private func isRefused(_ bytes: [UInt8]) -> Bool {
        do {
            _ = try bytes.withUnsafeBytes { try resolveInvocation($0) }
            return false
        } catch TransferError.cannotDecode {
            return true
        } catch {
            return false
        }
    }

    @Test func everyDamagedByteIsNoticed() throws {
        let function: @Sendable ([String]) -> Int = opaque({ @Sendable (texts: [String]) -> Int in texts.count })
        let description = try Invocation(function).describe()
        #expect(!isRefused(description))
        for index in description.indices {
            var damaged = description
            damaged[index] ^= 0x41
            #expect(isRefused(damaged), "byte \(index)")
        }
    }

    @Test func everyTruncationIsNoticed() throws {
        for sample in samples() {
            let description = try sample.invocation.describe()
            for length in 0..<description.count { #expect(isRefused(Array(description.prefix(length)))) }
            #expect(isRefused(description + [0]))
        }
    }

    /// The sum is right, so that only the structure can tell.
    @Test func truncationWithAMatchingChecksumIsNoticed() throws {
        for sample in samples() {
            let content = try sample.invocation.describe().dropFirst(16)
            #expect(!isRefused(sealed(Array(content))))
            for length in 0..<content.count { #expect(isRefused(sealed(Array(content.prefix(length))))) }
            #expect(isRefused(sealed(content + [0])))
        }
    }

    @Test func anotherProgramIsNamed() throws {
        var content = Array(try Invocation(addOne).describe().dropFirst(16))
        // The fingerprint of the first image, the executable itself, follows the number of images.
        content[1] ^= 1
        #expect { try sealed(content).withUnsafeBytes { try resolveInvocation($0) } } throws: { error in
            guard case TransferError.cannotDecode(let text) = error else { return false }
            return text.contains("another executable")
        }
    }

    @Test func argumentsThatEndEarlyNameTheOne() throws {
        let invocation = Invocation(join)
        let arguments = HeapByteWriter()
        try Invocation<String, Int, [Double], String>.encodeArguments("a", 1, [2], to: arguments)
        var short = ByteReader(UnsafeRawBufferPointer(rebasing: arguments.written.dropLast(arguments.count / 2)))
        do throws(InvocationFailure) {
            try invocation.invoke(arguments: &short, result: HeapByteWriter())
            Issue.record("was called")
        } catch {
            guard case .transfer(let failure) = error, case .cannotDecode(let text) = failure else {
                Issue.record(error)
                return
            }
            #expect(text.contains("argument "))
            #expect(text.contains("(Swift.String, Swift.Int, Swift.Array<Swift.Double>) -> Swift.String"))
        }
    }

    private func sealed(_ content: [UInt8]) -> [UInt8] {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in content { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        func bytes(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
        return bytes(0x3146_504D as UInt32) + bytes(UInt32(content.count)) + bytes(hash) + content
    }
}
