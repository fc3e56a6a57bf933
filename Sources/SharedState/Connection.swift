import BinaryCoding
import SystemLayer

/// One end of a ``pipe()``: sends values to, and receives values from, whoever has the other.
///
/// Any number of threads and processes may use an end at once: messages arrive whole, each at one receiver, in the order in which one sender has sent them.
/// A process that dies while it sends or receives leaves no part of a message behind.
///
/// ```swift
/// let (mine, theirs) = try pipe()
/// let child = Process(work, theirs)     // a Connection can be an argument, a result, or part of a message
/// try child.start()
/// try theirs.close()                    // so that `mine` hears when the child has ended
/// try mine.send(Request(page: 7))
/// let answer = try mine.receive(Answer.self)
/// ```
///
/// What can be an argument of a task can be in a message: shared objects, which live on while they are on their way, other connections, open descriptors
/// (``SharedDescriptor``).
///
/// An end is open until every copy of it is: the one in each process that it was sent to, or that was forked (`.fork`) while it was open. A process's death closes
/// its copies. A copy that is on its way, as an argument of a task that has not begun, is open too.
///
/// An end that is an argument or a result reaches one receiver: a task that is tried again after its worker's death does not find it again.
public final class Connection: Codable, Sendable {
    package let socket: GuardedDescriptor

    init(_ socket: GuardedDescriptor) { self.socket = socket }

    // MARK: Sending

    /// Sends a value. Blocks while the other end has too much to read already (some hundred small messages, or three of 64 KiB or more).
    /// - Throws: ``ConnectionError`` when the other end is closed, or this one; `EncodingError` when the value cannot be encoded: then nothing was sent.
    public func send<T: Codable & Sendable>(_ value: T) throws { _ = try send(value, until: .never) }

    /// Sends a value, unless that takes longer than `timeout`.
    /// - Returns: whether it was sent: all of it, or nothing.
    /// - Throws: as ``send(_:)``.
    public func send<T: Codable & Sendable>(_ value: T, timeout: Duration) throws -> Bool {
        try send(value, until: Deadline(after: timeout))
    }

    private func send<T: Codable & Sendable>(_ value: T, until deadline: Deadline) throws -> Bool {
        try using {
            let message = try OutgoingMessage(value)
            while try !message.send(to: socket.number) {
                if try !wait(for: .writing, until: deadline) { return false }
            }
            return true
        }
    }

    /// Sends a copy of an open descriptor: of a file, a socket, anything. The receiver gets it by ``receiveDescriptor()``, or as a ``SharedDescriptor``. The
    /// caller's own stays open, and stays the caller's.
    /// - Throws: as ``send(_:)``; `SystemError` when it is not open.
    public func send(descriptor: Int32) throws { try send(SharedDescriptor(duplicating: descriptor)) }

    /// The same, unless that takes longer than `timeout`.
    /// - Returns: whether it was sent.
    public func send(descriptor: Int32, timeout: Duration) throws -> Bool {
        try send(SharedDescriptor(duplicating: descriptor), timeout: timeout)
    }

    // MARK: Receiving

    /// Takes the next message. Blocks until there is one.
    /// - Throws: ``ConnectionError/endOfStream`` when no more can come, ``ConnectionError/closed`` when this end is closed; `DecodingError` when the message is not
    ///   a `T`: then it is lost, and the next one can be received.
    public func receive<T: Codable & Sendable>(_ type: T.Type = T.self) throws -> T {
        while true { if let value = try receive(type, until: .never) { return value } }
    }

    /// Takes the next message, if one comes within `timeout`.
    /// - Returns: nil when none has come.
    /// - Throws: as ``receive(_:)``.
    public func receive<T: Codable & Sendable>(_ type: T.Type = T.self, timeout: Duration) throws -> T? {
        try receive(type, until: Deadline(after: timeout))
    }

    private func receive<T: Codable & Sendable>(_ type: T.Type, until deadline: Deadline) throws -> T? {
        try using {
            while true {
                if case .value(let value) = try MessageReader.receive(type, from: socket.number) { return value }
                if try !wait(for: .reading, until: deadline) { return nil }
            }
        }
    }

    /// Takes the next message, which is to be a descriptor. Blocks until there is one.
    /// - Returns: the descriptor, which closes when it is dropped.
    /// - Throws: as ``receive(_:)``.
    public func receiveDescriptor() throws -> SharedDescriptor { try receive(SharedDescriptor.self) }

    /// The same, if a message comes within `timeout`.
    /// - Returns: nil when none has come.
    public func receiveDescriptor(timeout: Duration) throws -> SharedDescriptor? { try receive(SharedDescriptor.self, timeout: timeout) }

    /// Whether a receive would not block: there is a message, or no more can come. Waits for that, at most `timeout`.
    /// - Throws: ``ConnectionError/closed``.
    public func poll(timeout: Duration = .zero) throws -> Bool {
        let deadline = Deadline(after: timeout)
        return try using {
            while true {
                if try LocalSocket.isReadable(socket.number) { return true }
                if try !wait(for: .reading, until: deadline) { return false }
            }
        }
    }

    /// Closes this end, in this process. Threads and tasks that wait for it are told, by ``ConnectionError/closed``. Closing it again does nothing.
    public func close() throws { socket.close() }

    // MARK: Waiting

    /// Keeps the socket open while `body` uses it.
    private func using<R>(_ body: () throws -> R) throws -> R {
        guard socket.enter() else { throw ConnectionError.closed }
        defer { socket.leave() }
        return try body()
    }

    private func wait(for direction: LocalSocket.Direction, until deadline: Deadline) throws -> Bool {
        let isReady = try socket.wait(for: direction, until: deadline)
        if socket.isClosed { throw ConnectionError.closed }
        return isReady
    }

    // MARK: Travelling

    /// Takes over the end that another process of the family has sent. Throws a `DecodingError` elsewhere.
    public convenience init(from decoder: any Decoder) throws {
        self.init(try DescriptorTransfer.decode(.connection, for: Self.self, from: decoder))
    }

    /// Sends a copy of this end along with a message or a task. Throws an `EncodingError` for anything but a process of the family, and
    /// ``ConnectionError/closed``.
    public func encode(to encoder: any Encoder) throws { try DescriptorTransfer.encode(socket, .connection, of: self, to: encoder) }
}

/// Makes two ends that are connected to each other; both send and receive.
/// - Throws: `SystemError` when the process has no descriptors left.
public func pipe() throws -> (Connection, Connection) {
    let (first, second) = try LocalSocket.pair()
    return (Connection(GuardedDescriptor(owning: first)), Connection(GuardedDescriptor(owning: second)))
}
