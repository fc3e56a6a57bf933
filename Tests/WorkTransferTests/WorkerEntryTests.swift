import Testing

/// Not a test: the door through which ``SecondProcess`` comes in.
struct WorkerEntryTests {
    @Test(.enabled(if: SecondProcess.requested != nil, "runs in the second process only")) func entry() throws {
        try SecondProcess.work(try #require(SecondProcess.requested))
    }
}
