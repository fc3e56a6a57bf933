import Glibc
import Multiprocessing
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

/// A thread that holds a lock until it is told to let go.
final class Holder: Sendable {
    private let thread: OwnThread
    private let isToEnd: SharedEvent

    /// Returns when the lock is held.
    /// - Parameter hold: calls its argument with the lock.
    init(_ hold: @escaping @Sendable (_ body: () throws -> Void) throws -> Void) throws {
        let (isHeld, isToEnd) = (try SharedEvent(), try SharedEvent())
        self.isToEnd = isToEnd
        thread = OwnThread {
            try? hold {
                try isHeld.set()
                try isToEnd.wait()
            }
        }
        try isHeld.wait()
    }

    /// Returns when it is free.
    func release() {
        try? isToEnd.set()
        thread.join()
    }
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
