import Glibc
import Synchronization

/// Runs `body` on `count` threads of its own at once, and returns when all have ended.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let threads = (0..<count).map { index in
        var thread = pthread_t()
        let context = Unmanaged.passRetained(ThreadBody { body(index) })
        let error = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run() }
                return nil
            }, context.toOpaque())
        precondition(error == 0, "no more threads")
        return thread
    }
    for thread in threads { pthread_join(thread, nil) }
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
