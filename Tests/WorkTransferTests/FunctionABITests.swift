import Testing
import WorkTransfer

/// When this goes red after a change of compilers, Sources/WorkTransfer/README.md says which fact each file rests on.
@Test func compilerLaysOutFunctionsAsExpected() throws {
    try verifyFunctionABI()
}
