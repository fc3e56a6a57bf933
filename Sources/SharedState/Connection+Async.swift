import SystemLayer

extension Connection {
    /// The same for asynchronous functions: ``Async/receive(_:)`` and its like wait without holding up a thread, and end with a `CancellationError` when the
    /// calling task is cancelled. No message is lost by that: it is still there for the next receive.
    public var async: Async { Async(connection: self) }

    /// What ``Connection/async`` returns. Its calls throw what those of the same name throw that block, and a `CancellationError`.
    public struct Async: Sendable {
        let connection: Connection

        /// As ``Connection/send(_:)-(T)``. Cancelled, it has sent nothing.
        public func send<T: Codable & Sendable>(_ value: T) async throws { _ = try await connection.send(value, until: .never) }

        /// Sends a value, unless that takes longer than `timeout`.
        /// - Returns: whether it was sent.
        public func send<T: Codable & Sendable>(_ value: T, timeout: Duration) async throws -> Bool {
            try await connection.send(value, until: Deadline(after: timeout))
        }

        /// As ``Connection/send(descriptor:)``.
        public func send(descriptor: Int32) async throws { try await send(SharedDescriptor(duplicating: descriptor)) }

        /// As ``Connection/send(descriptor:timeout:)``.
        public func send(descriptor: Int32, timeout: Duration) async throws -> Bool {
            try await send(SharedDescriptor(duplicating: descriptor), timeout: timeout)
        }

        /// Takes the next message, once there is one.
        public func receive<T: Codable & Sendable>(_ type: T.Type = T.self) async throws -> T {
            while true { if let value = try await connection.receive(type, until: .never) { return value } }
        }

        /// Takes the next message, if one comes within `timeout`.
        /// - Returns: nil when none has come.
        public func receive<T: Codable & Sendable>(_ type: T.Type = T.self, timeout: Duration) async throws -> T? {
            try await connection.receive(type, until: Deadline(after: timeout))
        }

        /// As ``Connection/receiveDescriptor()``.
        public func receiveDescriptor() async throws -> SharedDescriptor { try await receive(SharedDescriptor.self) }

        /// As ``Connection/receiveDescriptor(timeout:)``.
        public func receiveDescriptor(timeout: Duration) async throws -> SharedDescriptor? {
            try await receive(SharedDescriptor.self, timeout: timeout)
        }

        /// Whether a receive would find something: waits for that, at most `timeout`.
        public func poll(timeout: Duration = .zero) async throws -> Bool {
            let deadline = Deadline(after: timeout)
            return try await connection.using { socket in
                while true {
                    if try LocalSocket.isReadable(socket) { return true }
                    if try await !connection.wait(for: .reading, until: deadline) { return false }
                }
            }
        }
    }

    private func send<T: Codable & Sendable>(_ value: T, until deadline: Deadline) async throws -> Bool {
        try await using { socket in
            let message = try OutgoingMessage(value, in: memories)
            while try !message.send(to: socket) {
                if try await !wait(for: .writing, until: deadline) { return false }
            }
            return true
        }
    }

    private func receive<T: Codable & Sendable>(_ type: T.Type, until deadline: Deadline) async throws -> T? {
        try await using { socket in
            while true {
                if case .value(let value) = try MessageReader.receive(type, from: socket, memories) { return value }
                if try await !wait(for: .reading, until: deadline) { return nil }
            }
        }
    }

    private func using<R>(_ body: (Int32) async throws -> R) async throws -> R {
        try Task.checkCancellation()
        guard socket.enter() else { throw ConnectionError.closed }
        defer { socket.leave() }
        return try await body(socket.number)
    }

    private func wait(for direction: LocalSocket.Direction, until deadline: Deadline) async throws -> Bool {
        let isReady = try await socket.waitAsynchronously(for: direction, until: deadline)
        if socket.isClosed { throw ConnectionError.closed }
        return isReady
    }
}
