import CMultiprocessing
import Glibc

/// Sockets between processes of one machine that keep messages apart: each is sent whole or not at all, by however many senders, and received by one receiver.
///
/// Functions on numbers: who owns these is the callers' affair. None of them blocks but ``connect(to:)``, ``wait(_:for:bell:until:)``.
package enum LocalSocket {
    package static let mostDescriptors = Int(MP_SOCKET_MOST_DESCRIPTORS)

    /// Two that are connected to each other.
    package static func pair() throws(SystemError) -> (Int32, Int32) {
        var (first, second): (Int32, Int32) = (-1, -1)
        try check(mp_socket_pair(&first, &second), "making a pair of sockets")
        return (first, second)
    }

    /// Claims a name that is no file, and goes with the last process that has this socket.
    /// - Throws: EADDRINUSE when somebody has it.
    package static func bind(to name: String) throws(SystemError) -> Int32 {
        try check(mp_socket_bind(name, name.utf8.count), "claiming the name \(name)")
    }

    package static func listen(_ socket: Int32) throws(SystemError) { try check(mp_socket_listen(socket), "listening at a socket") }

    /// - Throws: ECONNREFUSED when nobody listens under that name.
    package static func connect(to name: String) throws(SystemError) -> Int32 {
        try check(mp_socket_connect(name, name.utf8.count), "connecting to \(name)")
    }

    /// The next who has connected; nil when there is none.
    package static func accept(_ listener: Int32) throws(SystemError) -> Int32? {
        let result = mp_socket_accept(listener)
        return result == -EAGAIN ? nil : try check(result, "accepting a connection")
    }

    /// Whether the other end belongs to the user whose rights this process has.
    package static func isPeerOfSameUser(_ socket: Int32) -> Bool {
        var user: uid_t = 0
        var process: pid_t = 0
        return mp_socket_peer(socket, &user, &process) == 0 && user == geteuid()
    }

    /// How a send or receive that does not block came out.
    package enum Transfer: Equatable {
        /// Of so many bytes: for a receive, all that is left once the other end is closed is 0.
        case done(Int)
        case wouldBlock
        /// Nobody is left at the other end to receive.
        case noReceiver
    }

    /// Sends one message: `head`, `body`, `padding` bytes that mean nothing, and copies of `descriptors`.
    package static func send(
        _ socket: Int32, head: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer = .init(start: nil, count: 0), padding: Int = 0,
        descriptors: [Int32] = []
    ) throws(SystemError) -> Transfer {
        let result = mp_socket_send(
            socket, head.baseAddress, head.count, body.baseAddress, body.count, padding, descriptors, descriptors.count)
        switch result {
        case -EAGAIN: return .wouldBlock
        case -EPIPE, -ECONNRESET, -ENOTCONN: return .noReceiver
        default:
            try check(result, "sending a message")
            return .done(head.count + body.count)
        }
    }

    /// Takes the next message. What does not fit in `room` is dropped. `received` owns the descriptors that came with it.
    package static func receive(_ socket: Int32, into room: UnsafeMutableRawBufferPointer, descriptors received: inout [Int32])
        throws(SystemError) -> Transfer
    {
        var count = mostDescriptors
        var numbers: [Int32] = []
        let result = withUnsafeTemporaryAllocation(of: Int32.self, capacity: count) { buffer in
            let result = mp_socket_receive(socket, room.baseAddress, room.count, buffer.baseAddress, &count)
            if count > 0 { numbers = Array(buffer[..<count]) }
            return result
        }
        if result == -EAGAIN { return .wouldBlock }
        try check(Int32(clamping: result), "receiving a message, and with it descriptors")
        received = numbers
        return .done(result)
    }

    /// Whether a receive would find something: a message, or that the other end is closed.
    package static func isReadable(_ socket: Int32) throws(SystemError) -> Bool {
        let result = mp_socket_wait(socket, false, -1, 0)
        if result == -EINTR { return false }
        return try check(result, "looking at a socket") & 1 != 0
    }

    /// Closes a descriptor that was received.
    package static func close(_ number: Int32) { _ = Glibc.close(number) }

    package enum Direction: Sendable { case reading, writing }

    /// Waits until the socket is ready, or `bell` (-1: none) rings, or `deadline`. May return early for no reason.
    /// - Returns: false when the deadline has passed.
    package static func wait(_ socket: Int32, for direction: Direction, bell: Int32 = -1, until deadline: Deadline) throws(SystemError)
        -> Bool
    {
        let remaining = deadline.remaining
        // Rounded up: what is left of a millisecond is waited for.
        let milliseconds = remaining <= 0 ? remaining : min((remaining - 1) / 1_000_000 + 1, Int64(Int32.max))
        let result = mp_socket_wait(socket, direction == .writing, bell, Int32(milliseconds))
        if result == -EINTR { return true }
        return try check(result, "waiting for a socket") != 0 || !deadline.hasPassed
    }
}
