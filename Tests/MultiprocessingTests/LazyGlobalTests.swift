import Glibc
import Multiprocessing
import TestSupport
import Testing

/// Made by a worker's first thread, while its second wants it, too.
private enum Meeting {
    nonisolated(unsafe) static var second: OwnThread?
    static let number: Int = {
        second = OwnThread { _ = Meeting.number }
        // It needs some time to come. Should it be later, nothing is shown.
        usleep(20_000)
        return 7
    }()
}

extension PublicInterface {
    /// The lock of a lazy global knows a thread by its number, which that of the process that was copied must not be.
    @Suite struct LazyGlobalTests {
        @Test(arguments: StartMethod.all) func twoThreadsOfAWorkerMeet(method: StartMethod) throws {
            let child = ChildProcess(configuration: .init(method)) { () -> Int in
                let number = Meeting.number
                Meeting.second?.join()
                return number
            }
            try child.start()
            #expect(try child.join(timeout: .seconds(20)))
            child.kill()
            #expect(try child.result() == 7)
        }
    }
}
