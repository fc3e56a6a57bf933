import BinaryCoding
import Glibc
import SystemLayer

/// A value on its way into a connection.
struct OutgoingMessage {
    private let writer: ConnectionWriter
    /// Keeps the shared objects in it alive until it is received; nil where there are none.
    private let hold: MessageHold?

    /// Encodes `value`.
    /// - Parameter memories: where large ones are.
    init<T: Encodable>(_ value: T, in memories: MessageMemories) throws {
        writer = ConnectionWriter(memories)
        try encodeBinary(value, to: writer)
        try writer.finish()
        let handles = writer.retained.compactMap { ($0 as? any SharedHandleObject)?.handle }
        hold = handles.isEmpty ? nil : try MessageHold(handles)
    }

    /// Does not block.
    /// - Returns: whether it is sent; false when there is no room.
    func send(to socket: Int32) throws -> Bool {
        let transfer: LocalSocket.Transfer
        do { transfer = try writer.send(to: socket, hold: hold?.number) } catch let error as SystemError where error.code == EMSGSIZE {
            try writer.shorten()
            transfer = try writer.send(to: socket, hold: hold?.number)
        }
        switch transfer {
        case .done:
            writer.noteSent()
            return true
        case .wouldBlock: return false
        case .noReceiver: throw ConnectionError.endOfStream
        }
    }
}
