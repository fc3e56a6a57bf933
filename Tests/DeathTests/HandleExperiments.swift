import BinaryCoding
import Synchronization

@testable import SharedState

/// Deaths while holds on shared objects are taken and dropped.
enum HandleExperiments {
    private static let value: UInt64 = 0x0123_4567_89ab_cdef

    /// An object that only its maker has.
    static func make() throws {
        let arena = try Arena.current()
        let census = Census(arena)
        try Execution(
            name: "SharedValue.init, and its drop", arena: arena, operation: { _ = try SharedValue(value) },
            check: { _ in try census.requireUnchanged(in: arena) }
        ).run()
    }

    /// An object that another process holds, while the victim takes a hold and drops it.
    static func decode() throws {
        let scene = try Scene()
        try Execution(
            name: "SharedValue.init(from:), and its drop", arena: scene.arena,
            operation: { _ = try SharedValue<UInt64>(from: HandleDecoder(handle: scene.handle)) }, check: { _ in try scene.requireKept() }
        ).run()
        try scene.requireFreedWithItsKeeper()
    }

    /// A hold that came with the fork.
    static func dropInherited() throws {
        let scene = try Scene()
        HandleRegistry.takeCustody(of: scene.handle, in: scene.arena)
        try Execution(
            name: "HandleRegistry, an inherited hold dropped", arena: scene.arena, inheritsHandles: true,
            operation: { HandleRegistry.endCustody(of: scene.handle, in: scene.arena) }, check: { _ in try scene.requireKept() },
            undo: { HandleRegistry.takeCustody(of: scene.handle, in: scene.arena) }
        ).run()
        HandleRegistry.endCustody(of: scene.handle, in: scene.arena)
        try scene.requireFreedWithItsKeeper()
    }

    /// The last hold of all: the object goes, whether its holder has got as far as freeing it or not.
    static func dropLast() throws {
        let arena = try Arena.current()
        let empty = Census(arena)
        var handle: UInt64 = 0
        try Execution(
            name: "ObjectBlock, the last hold dropped", arena: arena,
            prepare: { victim in
                let object = try SharedValue(value)
                handle = object.handle
                ObjectBlock(offset: Int(handle), in: arena).addHolder(victim)
            },
            before: {
                // As this process does it in order to warm up, it is the holder itself.
                if handle == 0 { handle = UInt64(try ObjectBlock.make(.value, elementSize: 8, count: 1, size: 64, in: arena).offset) }
            },
            operation: { ObjectBlock(offset: Int(handle), in: arena).removeHolder(CurrentProcess.identity(in: arena)) },
            check: { _ in try empty.requireUnchanged(in: arena) }
        ).run()
    }

    /// An object that an entry of the process table, without a process, holds: so this process and its victims need not.
    private struct Scene {
        let arena: Arena
        let keeper: ProcessIdentity
        let handle: UInt64
        let empty: Census
        let census: Census

        init() throws {
            arena = try Arena.current()
            empty = Census(arena)
            keeper = try ProcessTable.enter(parent: CurrentProcess.identity(in: arena), in: arena)
            let object = try SharedValue(value)
            handle = object.handle
            ObjectBlock(offset: Int(handle), in: arena).addHolder(keeper)
            census = Census(arena)
        }

        func requireKept() throws {
            try census.requireUnchanged(in: arena)
            let object = try SharedValue<UInt64>(from: HandleDecoder(handle: handle))
            try requireEqual(object.value, value)
        }

        func requireFreedWithItsKeeper() throws {
            ProcessTable.reclaim(keeper, in: arena)
            try empty.requireUnchanged(in: arena)
        }
    }
}

func requireEqual<T: Equatable>(_ got: T, _ expected: T) throws {
    if got != expected { throw Laboratory.Failure(description: "\(got) in place of \(expected)") }
}

/// A decoder that has one handle and nothing else.
private struct HandleDecoder: Decoder, SharedHandleDecoder {
    let handle: UInt64
    let codingPath: [any CodingKey] = []
    let userInfo: [CodingUserInfoKey: Any] = [:]

    func decodeHandle() throws -> UInt64 { handle }
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

    private struct Nothing: Error {}
    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> { throw Nothing() }
    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { throw Nothing() }
    func singleValueContainer() throws -> any SingleValueDecodingContainer { throw Nothing() }
}
