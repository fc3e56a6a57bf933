import BinaryCoding
import Glibc
import SystemLayer

@testable import SharedState

/// Deaths while messages and descriptors are sent and received. This process is the family's first, so the depot's thread is here.
enum ConnectionExperiments {
    private static let value: UInt64 = 0x0123_4567_89ab_cdef

    /// A message with a shared object that only its sender has.
    static func send() throws {
        let scene = try Scene()
        try Execution(
            name: "Connection.send, of a SharedValue", arena: scene.arena,
            operation: {
                try scene.near.send([SharedValue(value)])
                // Of this process's own, when it warms up, there is one message too many.
                if scene.isHere { _ = try scene.far.receive([SharedValue<UInt64>].self) }
            },
            check: { _ in
                try scene.drain(atMost: 1)
                try scene.requireSettled()
            }, samples: 60
        ).run()
    }

    /// The same from the other side: the message is received by who dies, or is still there.
    static func receive() throws {
        let scene = try Scene()
        let fill = { if try !scene.far.poll() { try scene.near.send([SharedValue(value)]) } }
        try Execution(
            name: "Connection.receive, of a SharedValue", arena: scene.arena, prepare: { _ in try fill() }, before: fill,
            operation: { _ = try scene.far.receive([SharedValue<UInt64>].self) },
            check: { _ in
                try scene.drain(atMost: 1)
                try scene.requireSettled()
            }, samples: 60
        ).run()
    }

    /// A descriptor left in the depot, for a message that is never sent.
    static func deposit() throws {
        let scene = try Scene()
        try Execution(
            name: "a Connection encoded for a task, and dropped", arena: scene.arena,
            operation: { try encodeBinary(scene.near, to: HeapByteWriter()) },
            check: { _ in try scene.requireSettled() }, samples: 20
        ).run()
    }

    /// A descriptor fetched from the depot: by who dies, or by the next.
    static func fetch() throws {
        let scene = try Scene()
        var message: HeapByteWriter?
        let decode = {
            guard let message else { throw Laboratory.Failure(description: "nothing was sent") }
            var reader = ByteReader(message.written)
            let connection: Connection = try decodeBinary(from: &reader)
            try connection.send(value)
        }
        let encode = {
            if message != nil { return }
            let writer = HeapByteWriter()
            try encodeBinary(scene.near, to: writer)
            message = writer
        }
        try Execution(
            name: "a Connection decoded by a task", arena: scene.arena, prepare: { _ in try encode() }, before: encode, operation: decode,
            check: { _ in
                if DescriptorDepot.count > 0 { try decode() }
                message = nil
                while let got = try scene.far.receive(UInt64.self, timeout: .zero) { try requireEqual(got, value) }
                try scene.requireSettled()
            },
            undo: {
                message = nil
                _ = try scene.far.receive(UInt64.self)
            }, samples: 60
        ).run()
    }

    private struct Scene {
        let arena: Arena
        let near: Connection
        let far: Connection
        let census: Census
        private let pid = getpid()

        init() throws {
            arena = try Arena.current()
            (near, far) = try pipe()
            DescriptorDepot.open()
            DescriptorDepot.serve()
            // What is made on first use: the service's thread, and what only a process that is not this one does, who has to fetch a descriptor.
            try encodeBinary(near, to: HeapByteWriter())
            try near.send(descriptor: 0)
            _ = try far.receiveDescriptor()
            census = Census(arena)
        }

        var isHere: Bool { getpid() == pid }

        /// Receives what there is, which is whole.
        func drain(atMost most: Int) throws {
            var count = 0
            while let got = try far.receive([SharedValue<UInt64>].self, timeout: .zero) {
                try requireEqual(got.map(\.value), [value])
                count += 1
            }
            guard count <= most else { throw Laboratory.Failure(description: "\(count) messages") }
        }

        /// Fails unless all that was on its way has gone, once those have been told who let go of it.
        func requireSettled() throws {
            let deadline = Deadline(after: .seconds(5))
            while DescriptorDepot.count > 0 || Census(arena) != census, !deadline.hasPassed { usleep(1000) }
            try requireEqual(DescriptorDepot.count, 0)
            try census.requireUnchanged(in: arena)
        }
    }
}
