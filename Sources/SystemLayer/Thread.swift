import CMultiprocessing

/// Starts a detached thread of this process that runs `body`, with all signals blocked: signals are for the user's threads.
/// - Parameters:
///   - name: what debuggers show; 15 bytes at most.
///   - stackBytes: virtual memory; only what is touched takes any.
package func startThread(name: String, stackBytes: UInt64 = 512 << 10, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
    let context = Unmanaged.passRetained(ThreadBody(body))
    let result = mp_thread_start(
        name, stackBytes,
        { context in
            guard let context else { return }
            Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run()
        }, context.toOpaque())
    if result < 0 { context.release() }
    try check(result, "starting the thread \(name)")
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
