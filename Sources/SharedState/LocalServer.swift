import Glibc
import SystemLayer

/// A socket of this process at which others ask for something: one message, one answer.
enum LocalServer {
    /// How long a client may take to say what it wants, once it has connected; it then is a stranger.
    private static let patience = Duration.seconds(10)
    /// Where there are no descriptors for those who wait at the door, after this it is tried again.
    private static let pause = Duration.milliseconds(20)

    /// Has `answer` called, on the service's thread, with each client of this user that has sent something; the client is closed after that.
    /// - Returns: what ends it.
    @discardableResult
    static func serve(_ listener: Int32, _ answer: @escaping @Sendable (_ client: Int32) -> Void) throws -> DescriptorWatch {
        let watch = DescriptorWatch(listener, repeats: true) { outcome in
            guard outcome == .ready else { return }
            do {
                while let client = try LocalSocket.accept(listener) { hear(client, answer) }
            } catch {
                // Those who wait go on doing so. This holds up the service for its own good: it would be told of them again at once.
                _ = poll(nil, 0, Int32(pause.nanoseconds / 1_000_000))
            }
        }
        try DescriptorService.add(watch)
        return watch
    }

    private static func hear(_ client: Int32, _ answer: @escaping @Sendable (_ client: Int32) -> Void) {
        guard LocalSocket.isPeerOfSameUser(client) else {
            close(client)
            return
        }
        let watch = DescriptorWatch(client, until: Deadline(after: patience), isOwned: true) { outcome in
            if outcome == .ready { answer(client) }
            close(client)
        }
        do { try DescriptorService.add(watch) } catch { close(client) }
    }
}

/// The other side: a process that asks.
enum LocalClient {
    enum Failure: Error {
        /// Nobody has the name, or who had it has ended meanwhile.
        case absent
        /// A process of another user has it.
        case strange
        /// Who has it does not answer.
        case silent
    }

    /// As long as nobody waits for a process that was stopped.
    private static let patience = Duration.seconds(10)

    /// Sends `request`, and `body` behind it, to who has the name, and waits for the answer: until `deadline`, or for 10 s.
    /// - Returns: the answer, and at most one descriptor that came with it, which is the caller's.
    static func ask<Request: BitwiseCopyable, Reply: BitwiseCopyable>(
        _ request: Request, body: UnsafeRawBufferPointer = .init(start: nil, count: 0), sending numbers: [Int32] = [], at address: String,
        until deadline: Deadline? = nil, expecting blank: Reply
    ) throws -> (reply: Reply, descriptor: [Int32]) {
        let socket = try connect(to: address)
        defer { close(socket) }
        guard LocalSocket.isPeerOfSameUser(socket) else { throw Failure.strange }
        let sent = try withUnsafeBytes(of: request) { try LocalSocket.send(socket, head: $0, body: body, descriptors: numbers) }
        guard case .done = sent else { throw Failure.absent }
        let deadline = deadline ?? Deadline(after: patience)
        while true {
            var reply = blank
            var received: [Int32] = []
            let transfer = try withUnsafeMutableBytes(of: &reply) { try LocalSocket.receive(socket, into: $0, descriptors: &received) }
            for extra in received.dropFirst() { close(extra) }
            if transfer == .done(MemoryLayout<Reply>.size) { return (reply, Array(received.prefix(1))) }
            guard transfer == .wouldBlock else { throw Failure.absent }
            guard try LocalSocket.wait(socket, for: .reading, until: deadline) else { throw Failure.silent }
        }
    }

    private static func connect(to address: String) throws -> Int32 {
        do { return try LocalSocket.connect(to: address) } catch {
            if error.code == ECONNREFUSED { throw Failure.absent }
            throw error
        }
    }
}
