import Glibc
import SystemLayer

/// What a process asks of the depot in another: one message, beside which a descriptor may come, and one in return.
struct DepotRequest: BitwiseCopyable {
    enum Order {
        /// Keep the descriptor that comes with this.
        case store(DescriptorKind)
        /// Give it out.
        case fetch
        /// Hold shared objects, whose places follow, as long as the descriptor that comes with this is connected.
        case hold
    }

    static let mostHandles = 4096
    private static let holds: UInt64 = 100

    private var code: UInt64
    /// Of a deposit; for `hold`, how many objects there are.
    var ticket: UInt64
    /// Of a deposit; for `hold`, who asks.
    var handle: UInt64

    init(_ order: Order, ticket: UInt64, handle: UInt64) {
        switch order {
        case .fetch: code = 0
        case .store(let kind): code = UInt64(kind.rawValue)
        case .hold: code = Self.holds
        }
        self.ticket = ticket
        self.handle = handle
    }

    /// nil for what is no request.
    var order: Order? {
        switch code {
        case 0: .fetch
        case Self.holds: .hold
        default: DescriptorKind(rawValue: Int(truncatingIfNeeded: code)).map { .store($0) }
        }
    }
}

struct DepotReply: BitwiseCopyable {
    /// An errno value, or 0.
    var error: Int32
}

/// The asking side, in a process that is not the family's first.
enum DepotClient {
    /// Blocks until the answer is there, some 100 µs. The family's first process has ended, or was stopped, when it does not come.
    /// - Returns: the descriptor that came with it, or -1.
    static func ask(
        _ request: DepotRequest, body: UnsafeRawBufferPointer, sending number: Int32?, at address: String, until deadline: Deadline?
    ) throws -> Int32 {
        let call = "asking the first process of the family for a descriptor"
        let reply: DepotReply
        let numbers: [Int32]
        do {
            (reply, numbers) = try LocalClient.ask(
                request, body: body, sending: number.map { [$0] } ?? [], at: address, until: deadline, expecting: DepotReply(error: EPROTO))
        } catch let failure as LocalClient.Failure {
            throw SystemError(code: failure == .strange ? EPERM : failure == .silent ? ETIMEDOUT : ECONNREFUSED, call: call)
        }
        if reply.error != 0 { throw SystemError(code: reply.error, call: call) }
        return numbers.first ?? -1
    }
}

/// The answering side, on the service's thread.
enum DepotServer {
    static func serve(_ listener: Int32) throws {
        try LocalServer.serve(listener) { client in
            var numbers: [Int32] = []
            var problem = EINVAL
            let room = [UInt64](unsafeUninitializedCapacity: 3 + DepotRequest.mostHandles) { room, count in
                do {
                    let transfer = try LocalSocket.receive(client, into: UnsafeMutableRawBufferPointer(room), descriptors: &numbers)
                    if case .done(let bytes) = transfer { count = bytes / 8 }
                } catch {
                    // This process has no descriptors left for those that came.
                    problem = (error as? SystemError)?.code ?? EINVAL
                }
            }
            defer { for number in numbers { close(number) } }
            guard room.count >= 3, let arena = try? Arena.current() else {
                _ = reply(problem, to: client)
                return
            }
            let request = room.withUnsafeBytes { $0.load(as: DepotRequest.self) }
            switch request.order {
            case .store(let kind): store(request, kind, &numbers, client, arena)
            case .fetch: fetch(request, client)
            case .hold: hold(request, Array(room.dropFirst(3)), &numbers, client, arena)
            case nil: _ = reply(EINVAL, to: client)
            }
        }
    }

    private static func store(_ request: DepotRequest, _ kind: DescriptorKind, _ numbers: inout [Int32], _ client: Int32, _ arena: Arena) {
        guard let block = ObjectBlock.find(.deposit, elementSize: kind.rawValue, at: request.handle, in: arena),
            let number = numbers.popLast()
        else {
            _ = reply(EINVAL, to: client)
            return
        }
        DescriptorDepot.store(.init(number: number, block: block, kind: kind), as: request.ticket)
        _ = reply(0, to: client)
    }

    private static func fetch(_ request: DepotRequest, _ client: Int32) {
        guard let stored = DescriptorDepot.take(request.ticket) else {
            _ = reply(ENOENT, to: client)
            return
        }
        if reply(0, to: client, with: stored.number) {
            close(stored.number)
        } else {
            // Who has asked is gone: it may be asked for again, by another attempt at the same task.
            DescriptorDepot.store(stored, as: request.ticket)
        }
    }

    private static func hold(_ request: DepotRequest, _ handles: [UInt64], _ numbers: inout [Int32], _ client: Int32, _ arena: Arena) {
        guard UInt64(handles.count) == request.ticket, let number = numbers.popLast() else {
            _ = reply(EINVAL, to: client)
            return
        }
        let isKept = DescriptorDepot.keep(handles, of: UInt32(truncatingIfNeeded: request.handle), whileOpen: number, in: arena)
        _ = reply(isKept ? 0 : EAGAIN, to: client)
    }

    /// - Returns: whether it was sent.
    private static func reply(_ error: Int32, to client: Int32, with number: Int32? = nil) -> Bool {
        let sent = try? withUnsafeBytes(of: DepotReply(error: error)) { bytes in
            try LocalSocket.send(client, head: bytes, descriptors: number.map { [$0] } ?? [])
        }
        if case .done = sent { return true }
        return false
    }
}
