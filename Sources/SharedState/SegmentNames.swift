import Glibc
import SystemLayer

/// The names of the segments that this process has created. A name is an abstract socket address: the kernel lets one process at a time have it, and frees it with that
/// process. Who connects there gets the segment's descriptor.
///
/// claimed (listening: others cannot claim it; who connects waits) → published (those who wait, and who comes later, are answered) → gone (closed).
enum SegmentNames {
    private struct Segment {
        let claim: Claim
        var memory: SealedMemory?
        var watch: DescriptorWatch?
    }

    struct Claim {
        let name: String
        let listener: Int32
    }

    private nonisolated(unsafe) static var segments: [String: Segment] = [:]  // guarded by `DescriptorService.lock`

    private static let mostBytes = 80

    /// The socket address that is the name's.
    static func address(of name: String) throws(SharedMemoryError) -> String {
        guard !name.isEmpty, name.utf8.count <= mostBytes, !name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 < 32 || $0 == 127 })
        else {
            throw SharedMemoryError(
                """
                A shared memory cannot be called "\(name)": give it a name of 1 to \(mostBytes) bytes (this one has \(name.utf8.count)), without / and \
                control characters.
                """)
        }
        return "multiprocessing/\(geteuid())/\(name)"
    }

    /// Makes the name this process's.
    static func claim(_ name: String, _ address: String) throws -> Claim {
        // Under the lock, so that no forked child has a copy of the socket that it does not know of: that would keep the name.
        try DescriptorService.lock.withLock {
            let claim = Claim(name: name, listener: try bind(name, address))
            segments[name] = Segment(claim: claim)
            return claim
        }
    }

    private static func bind(_ name: String, _ address: String) throws -> Int32 {
        let listener: Int32
        do { listener = try LocalSocket.bind(to: address) } catch {
            guard error.code == EADDRINUSE else { throw error }
            throw SharedMemoryError("There is a shared memory called \"\(name)\" already. Open it, unlink it before, or take another name.")
        }
        do { try LocalSocket.listen(listener) } catch {
            close(listener)
            throw error
        }
        return listener
    }

    /// Has those answered who want to open it.
    static func publish(_ claim: Claim, _ memory: SealedMemory) throws {
        DescriptorService.lock.withLock { segments[claim.name]?.memory = memory }
        let watch = try LocalServer.serve(claim.listener) { answer($0, claim) }
        DescriptorService.lock.withLock { segments[claim.name]?.watch = watch }
    }

    /// Gives the name back. Where it has been published, on the service's thread only: no other can be sure that the socket is closed when it is.
    static func withdraw(_ claim: Claim) {
        let segment = DescriptorService.lock.withLock { segments.removeValue(forKey: claim.name) }
        if let watch = segment?.watch { DescriptorService.cancel(watch) }
        if let segment { close(segment.claim.listener) }
    }

    /// On the service's thread.
    private static func answer(_ client: Int32, _ claim: Claim) {
        var request = SegmentRequest(order: 0)
        var numbers: [Int32] = []
        let transfer = try? withUnsafeMutableBytes(of: &request) { room in
            try LocalSocket.receive(client, into: room, descriptors: &numbers)
        }
        for number in numbers { close(number) }
        guard transfer == .done(MemoryLayout<SegmentRequest>.size),
            let memory = DescriptorService.lock.withLock({ segments[claim.name]?.memory })
        else { return }
        if request.order == SegmentRequest.unlink { withdraw(claim) }
        _ = try? withUnsafeBytes(of: SegmentRequest(order: request.order)) { bytes in
            try LocalSocket.send(client, head: bytes, descriptors: request.order == SegmentRequest.open ? [memory.number] : [])
        }
    }

    /// In a forked child, with the lock held: it does not keep its parent's names.
    static func forgetAfterFork() {
        for segment in segments.values {
            close(segment.claim.listener)
            // Its memory may be open here: leaked, as is who answers.
            _ = segment.memory.map { Unmanaged.passRetained($0) }
        }
        segments = [:]
    }
}

/// What a process asks of a segment's creator, which answers with the same.
struct SegmentRequest: BitwiseCopyable {
    static let open: UInt32 = 1
    static let unlink: UInt32 = 2

    var order: UInt32
}

/// The side of those who did not create the segment.
enum SegmentClient {
    static func open(_ name: String, at address: String, until deadline: Deadline?) throws -> SealedMemory {
        guard let number = try ask(SegmentRequest.open, name, at: address, until: deadline) else { throw missing(name) }
        return try SealedMemory(received: number)
    }

    static func unlink(_ name: String, at address: String, until deadline: Deadline?) throws {
        if let number = try ask(SegmentRequest.unlink, name, at: address, until: deadline) { close(number) }
    }

    private static func ask(_ order: UInt32, _ name: String, at address: String, until deadline: Deadline?) throws -> Int32? {
        do {
            return try LocalClient.ask(SegmentRequest(order: order), at: address, until: deadline, expecting: SegmentRequest(order: 0))
                .descriptor.first
        } catch let failure as LocalClient.Failure {
            switch failure {
            case .absent: throw missing(name)
            case .strange:
                throw SharedMemoryError("The name \"\(name)\" has been taken by a process of another user. Take another name.")
            case .silent:
                throw SharedMemoryError(
                    """
                    The process that created the shared memory "\(name)" does not answer: it was stopped, has no descriptors left, or is still filling the \
                    memory. Try again.
                    """)
            }
        }
    }

    private static func missing(_ name: String) -> SharedMemoryError {
        SharedMemoryError(
            "There is no shared memory called \"\(name)\": no living process of this user, in this network namespace, has created it. Create it first."
        )
    }
}
