import Glibc
import Synchronization
import TestSupport

/// Runs `body` on `count` threads of its own at once, and returns when all have ended.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let threads = (0..<count).map { index in OwnThread { body(index) } }
    for thread in threads { thread.join() }
}

/// A thread of its own for `body`, to be waited for once.
struct OwnThread {
    private let thread: pthread_t

    init(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(ThreadBody(body))
        let error = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run() }
                return nil
            }, context.toOpaque())
        precondition(error == 0, "no more threads")
        self.thread = thread
    }

    func join() { pthread_join(thread, nil) }
}

/// The calling thread's folder in /proc.
func threadFolder() -> String { "/proc/" + (linkTarget("/proc/thread-self") ?? "") }

/// Whether a thread waits for something.
func isAsleep(_ folder: String) -> Bool {
    guard let text = readAll(folder + "/stat"), let end = text.lastIndex(of: ")") else { return false }
    return text[end...].dropFirst(2).first == "S"
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// A number that several threads of this process count in.
final class Counter: Sendable {
    private let number = Atomic<Int>(0)
    var value: Int { number.load(ordering: .sequentiallyConsistent) }
    func add(_ n: Int) { number.wrappingAdd(n, ordering: .sequentiallyConsistent) }
}
