import Glibc
import SystemLayer

/// What a process asks of the depot in another: one message, beside which a descriptor may come, and one in return.
struct DepotRequest: BitwiseCopyable {
    enum Order {
        case store(DescriptorKind)
        case fetch
    }

    var order: UInt64
    var ticket: UInt64
    var handle: UInt64

    init(_ order: Order, ticket: UInt64, handle: UInt64) {
        switch order {
        case .fetch: self.order = 0
        case .store(let kind): self.order = UInt64(kind.rawValue)
        }
        self.ticket = ticket
        self.handle = handle
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
    static func ask(_ request: DepotRequest, sending number: Int32?, at address: String) throws -> Int32 {
        let call = "asking the first process of the family for a descriptor"
        let reply: DepotReply
        let numbers: [Int32]
        do {
            (reply, numbers) = try LocalClient.ask(request, sending: number.map { [$0] } ?? [], at: address, expecting: DepotReply(error: EPROTO))
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
            var request = DepotRequest(.fetch, ticket: 0, handle: 0)
            var numbers: [Int32] = []
            let transfer = try? withUnsafeMutableBytes(of: &request) { room in
                try LocalSocket.receive(client, into: room, descriptors: &numbers)
            }
            guard transfer == .done(MemoryLayout<DepotRequest>.size) else { return close(all: numbers) }
            answer(request, numbers, client)
        }
    }

    private static func answer(_ request: DepotRequest, _ numbers: [Int32], _ client: Int32) {
        if let kind = DescriptorKind(rawValue: Int(truncatingIfNeeded: request.order)) {
            guard let arena = try? Arena.current(), numbers.count == 1,
                let block = ObjectBlock.find(.deposit, elementSize: kind.rawValue, at: request.handle, in: arena)
            else {
                close(all: numbers)
                _ = reply(EINVAL, to: client)
                return
            }
            DescriptorDepot.store(.init(number: numbers[0], block: block, kind: kind), as: request.ticket)
            _ = reply(0, to: client)
            return
        }
        close(all: numbers)
        guard let stored = DescriptorDepot.take(request.ticket) else {
            _ = reply(ENOENT, to: client)
            return
        }
        if reply(0, to: client, with: stored.number) {
            Glibc.close(stored.number)
        } else {
            // Who has asked is gone: it may be asked for again, by another attempt at the same task.
            DescriptorDepot.store(stored, as: request.ticket)
        }
    }

    /// - Returns: whether it was sent.
    private static func reply(_ error: Int32, to client: Int32, with number: Int32? = nil) -> Bool {
        let sent = try? withUnsafeBytes(of: DepotReply(error: error)) { bytes in
            try LocalSocket.send(client, head: bytes, descriptors: number.map { [$0] } ?? [])
        }
        if case .done = sent { return true }
        return false
    }

    private static func close(all numbers: [Int32]) { for number in numbers { Glibc.close(number) } }
}
