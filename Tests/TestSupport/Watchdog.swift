import Glibc
import Synchronization
import SystemLayer
package import Testing

/// Ends the test process, with the stacks of all its threads, when a test takes far longer than it ever should: for what hangs never fails by itself.
package struct Watchdog: TestTrait, SuiteTrait, TestScoping {
    let seconds: Int

    // Every test of a suite gets one of its own.
    package var isRecursive: Bool { true }

    package func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        let alarm = Alarm(seconds: seconds, of: test.name)
        defer { alarm.end() }
        try await function()
    }
}

extension Trait where Self == Watchdog {
    /// Each test has `seconds` before the process is ended.
    package static func watchdog(seconds: Int) -> Watchdog { Watchdog(seconds: seconds) }
}

/// Runs `body`; ends the process, saying what hung, when that takes more than `seconds`.
package func withWatchdog<R>(_ seconds: Int, _ name: String = #function, _ body: () throws -> R) rethrows -> R {
    let alarm = Alarm(seconds: seconds, of: name)
    defer { alarm.end() }
    return try body()
}

private final class Alarm: Sendable {
    private let ended: FutexBox
    init(seconds: Int, of name: String) {
        let ended = FutexBox()
        self.ended = ended
        do {
            try startThread(name: "watchdog") {
                let deadline = Deadline(after: .seconds(seconds))
                while ended.word.pointee.load(ordering: .acquiring) == 0 {
                    if deadline.hasPassed { giveUp(name, seconds) }
                    ended.word.wait(while: 0, until: deadline)
                }
            }
        } catch {
            print("no watchdog for \(name): \(error)")
        }
    }

    func end() {
        ended.word.pointee.store(1, ordering: .releasing)
        ended.word.wakeAll()
    }

    /// A word that lives as long as somebody looks at it.
    private final class FutexBox: @unchecked Sendable {
        // Unchecked: the word is only used atomically.
        let word = FutexWord.makeFutexWord()
        deinit { word.deallocate() }
    }
}

private func giveUp(_ name: String, _ seconds: Int) -> Never {
    print("WATCHDOG: \(name) has not ended within \(seconds) s.")
    for process in ProcessEntry.descendants() { print("  descendant \(process)") }
    for thread in entries(of: "/proc/self/task") {
        let text = ["comm", "wchan"].compactMap { readAll("/proc/self/task/\(thread)/\($0)")?.split(separator: "\n").first }
        print("  thread \(thread): \(text.joined(separator: " in "))")
    }
    fflush(nil)
    printStacks()
    abort()
}

/// Has a debugger, where there is one that works, print every thread's stack: of this process, and of its descendants.
private func printStacks() {
    for process in [getpid()] + ProcessEntry.descendants().map(\.pid) {
        print("stacks of process \(process):")
        fflush(nil)
        let isPrinted =
            run("lldb", "--batch", "-p", "\(process)", "-o", "bt all", "-o", "detach")
            || run("gdb", "--batch", "-p", "\(process)", "-ex", "thread apply all bt")
        if !isPrinted { return }
    }
}

/// Runs a program, and waits for its end. Returns whether it did what it was to do.
private func run(_ arguments: String...) -> Bool {
    var pid: pid_t = 0
    let words = arguments.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    guard posix_spawnp(&pid, arguments[0], nil, nil, words, environ) == 0 else { return false }
    // A debugger that hangs must not keep what hangs alive.
    var status: Int32 = 0
    let hasEnded = eventually(within: .seconds(90)) { waitpid(pid, &status, WNOHANG) != 0 }
    if !hasEnded { kill(pid, SIGKILL) }
    return hasEnded && status == 0
}
