import BinaryCoding
import SystemLayer

/// A value on its way into a connection.
struct OutgoingMessage {
    private let writer = MessageWriter()

    /// Encodes `value`.
    init<T: Encodable>(_ value: T) throws {
        try encodeBinary(value, to: writer)
        try writer.finish()
        for case let object as any SharedHandleObject in writer.retained {
            throw EncodingError.invalidValue(
                object,
                EncodingError.Context(
                    codingPath: [],
                    debugDescription: """
                        A \(type(of: object)) cannot be part of a message of a Connection. Pass it as an argument when the receiver is started, \
                        or send its value.
                        """))
        }
    }

    /// Does not block.
    /// - Returns: whether it is sent; false when there is no room.
    func send(to socket: Int32) throws -> Bool {
        switch try writer.send(to: socket, hold: nil) {
        case .done: return true
        case .wouldBlock: return false
        case .noReceiver: throw ConnectionError.endOfStream
        }
    }
}
