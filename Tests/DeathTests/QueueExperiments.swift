import Glibc
import Synchronization
import SystemLayer

@testable import SharedState

/// Deaths while a value is put into a queue or got out of it.
enum QueueExperiments {
    /// A number, which stays in the queue's own memory, is put.
    static func putSmall() throws { try put("a number", [Int](), { $0 }) }
    /// The first large value that a queue gets, so that it is given a keeper.
    static func putFirstLarge() throws { try put("the first large value", [[Int]](), { Array(repeating: $0, count: 10) }) }
    static func putLarge() throws {
        try put("a large value", [Array(repeating: -1, count: 10)], { Array(repeating: $0, count: 10) })
    }
    static func putObject() throws {
        // The same object is in the queue already.
        let shared = try SharedValue(7)
        try put("a shared object", [Parcel(shared: shared, other: nil, number: -1)], { Parcel(shared: shared, other: shared, number: $0) })
    }
    /// With nobody else who has it: what the victim had made goes with it, or is in the queue.
    static func putNewObject() throws {
        try put(
            "an object of its own", [Parcel(shared: nil, other: nil, number: -1)],
            { Parcel(shared: try? SharedValue($0), other: nil, number: $0) })
    }

    static func getSmall() throws { try get("a number", { $0 }) }
    static func getLarge() throws { try get("a large value", { Array(repeating: $0, count: 10) }) }
    static func getObjects() throws {
        // One is in both messages, one in the victim's only.
        let shared = try SharedValue(7)
        try get("shared objects", { Parcel(shared: shared, other: try? SharedValue($0), number: $0) })
    }
    static func close() throws {
        let scene = try Scene<Int>([5])
        try Execution(
            name: "SharedQueue.close", arena: scene.arena, inheritsHandles: true, prepare: { _ in try scene.renew() },
            operation: { scene.queue.close() },
            check: { _ in
                let isClosed = scene.queue.isClosed
                try requireEqual(try scene.queue.tryGet(), 5)
                // Whether it had come to that or not, the queue goes on.
                scene.queue.close()
                do { _ = try scene.queue.get() } catch is QueueClosed { return try scene.requireNothingLeft() }
                throw Laboratory.Failure(description: "it gives values though it is closed (\(isClosed))")
            }
        ).run()
    }

    /// A getter that sleeps, while the victim puts what it waits for.
    static func putBesideSleeper() throws {
        try besideSleeper(
            "SharedQueue.put, with a getter asleep", try Scene([]), sleeper: { try requireEqual(try $0.get(), 1) },
            isDone: { $0.progress(MessageRing.putAt) == 1 }, victim: { try $0.put(1) })
    }
    /// A putter that sleeps, while the victim makes room.
    static func getBesideSleeper() throws {
        try besideSleeper(
            "SharedQueue.get, with a putter asleep", try Scene([3, 4, 5]), sleeper: { try $0.put(6) },
            isDone: { $0.progress(MessageRing.takenAt) == 1 }, victim: { _ = try $0.get() })
    }
    /// A getter that sleeps, while the victim closes the queue.
    static func closeBesideSleeper() throws {
        try besideSleeper(
            "SharedQueue.close, with a getter asleep", try Scene([]),
            sleeper: { queue in
                do { _ = try queue.get() } catch is QueueClosed {}
            }, isDone: { $0.isClosed }, victim: { $0.close() })
    }

    /// The last hold on a queue with values in it goes: these go, too, and its keeper, whether the victim has got as far as that or not.
    static func dropLast() throws {
        let arena = try Arena.current()
        let host = CurrentProcess.identity(in: arena)
        let shared = try SharedValue(7)
        let empty = Census(arena)
        var last: (queue: ObjectBlock, holder: ProcessIdentity)?
        func make(for holder: ProcessIdentity) throws {
            let queue = try SharedQueue<Parcel>(capacity: 3)
            for n in 0..<2 { try queue.put(Parcel(shared: shared, other: try SharedValue(n), number: n)) }
            last = (queue.ring.block, holder)
            queue.ring.block.addHolder(holder)
        }
        try Execution(
            name: "SharedQueue, the last hold dropped", arena: arena, prepare: { try make(for: $0) },
            // As this process does it in order to warm up, it is for one that does not exist.
            before: { if last == nil { try make(for: try ProcessTable.enter(parent: host, in: arena)) } },
            operation: { if let last { last.queue.removeHolder(last.holder) } },
            check: { _ in
                try empty.requireUnchanged(in: arena)
                try requireEqual(ProcessTable.liveEntries(in: arena), [Int(host.slot)])
            },
            undo: { if let last { ProcessTable.reclaim(last.holder, in: arena) } },
            // Most of it is the walk through the arena.
            samples: 20
        ).run()
    }

    private struct Parcel: Codable, Sendable, Equatable {
        let shared: SharedValue<Int>?
        let other: SharedValue<Int>?
        let number: Int

        static func == (a: Parcel, b: Parcel) -> Bool {
            a.number == b.number && a.shared?.value == b.shared?.value && a.other?.value == b.other?.value
        }
    }

    /// The victim puts one value behind those that are there already, and it is there or it is not.
    private static func put<T: Codable & Sendable & Equatable>(_ name: String, _ first: [T], _ make: @escaping (Int) -> T) throws {
        let expected = make(3)
        let scene = try Scene(first)
        try Execution(
            name: "SharedQueue.put, \(name)", arena: scene.arena, inheritsHandles: true,
            prepare: { _ in try scene.renew() },
            operation: { try scene.queue.put(make(3)) },
            check: { _ in
                try scene.requireKept()
                for value in first { try requireEqual(try scene.queue.tryGet(), value) }
                if let value = try scene.queue.tryGet() { try requireEqual(value, expected) }
                try requireEqual(try scene.queue.tryGet(), nil)
                // It goes on as if nothing had happened.
                try scene.queue.put(expected)
                try requireEqual(try scene.queue.tryGet(), expected)
                try scene.requireNothingLeft()
            }
        ).run()
    }

    /// The victim gets the first of two values: the second is there, and the first is, or has gone with the victim.
    private static func get<T: Codable & Sendable & Equatable>(_ name: String, _ make: @escaping (Int) -> T) throws {
        let (first, second) = (make(1), make(2))
        let scene = try Scene([T]())
        try Execution(
            name: "SharedQueue.get, \(name)", arena: scene.arena, inheritsHandles: true,
            prepare: { _ in
                try scene.renew()
                // Values of the queue's own, objects in them too.
                try scene.queue.put(make(1))
                try scene.queue.put(make(2))
            },
            before: { if scene.queue.isEmpty { for value in [first, second] { try scene.queue.put(value) } } },
            operation: { _ = try scene.queue.get() },
            check: { _ in
                try scene.requireKept()
                if scene.queue.count == 2 { try requireEqual(try scene.queue.tryGet(), first) }
                try requireEqual(try scene.queue.tryGet(), second)
                try requireEqual(try scene.queue.tryGet(), nil)
                try scene.queue.put(first)
                try requireEqual(try scene.queue.tryGet(), first)
                try scene.requireNothingLeft()
            },
            undo: { _ = try scene.queue.get() }
        ).run()
    }

    /// Another process sleeps in the queue, and goes on whether the victim, or this process in its place, does what it sleeps for.
    private static func besideSleeper(
        _ name: String, _ scene: Scene<Int>, sleeper: @escaping (SharedQueue<Int>) throws -> Void,
        isDone: @escaping (MessageRing) -> Bool, victim: @escaping (SharedQueue<Int>) throws -> Void
    ) throws {
        var sleeping: (process: ProcessDescriptor, identity: ProcessIdentity)?
        try Execution(
            name: name, arena: scene.arena, inheritsHandles: true, prepare: { _ in try scene.renew() },
            meanwhile: { sleeping = try scene.fallAsleep(sleeper) },
            operation: { try victim(scene.queue) },
            check: { _ in
                guard let (process, identity) = sleeping else { return }
                sleeping = nil
                // What has been done, the sleeper has to learn though the one who did it is dead.
                if !isDone(scene.queue.ring) { try victim(scene.queue) }
                try requireEnd(of: process, "there is something for the sleeper, and it sleeps on")
                ProcessTable.reclaim(identity, in: scene.arena)
                try scene.requireNothingLeft()
            }
        ).run()
    }

    /// A queue with room for three values, made anew for each victim, and what is in the arena without it.
    private final class Scene<T: Codable & Sendable & Equatable> {
        let arena: Arena
        private let first: [T]
        private let empty: Census
        private var current: SharedQueue<T>?
        private let host: ProcessIdentity

        init(_ first: [T]) throws {
            arena = try Arena.current()
            host = CurrentProcess.identity(in: arena)
            self.first = first
            empty = Census(arena)
            try renew()
        }

        var queue: SharedQueue<T> {
            guard let current else { preconditionFailure("no queue") }
            return current
        }

        func renew() throws {
            current = nil
            let queue = try SharedQueue<T>(capacity: 3)
            for value in first { try queue.put(value) }
            current = queue
        }

        /// Has another process, which is one of the family, sleep in the queue.
        func fallAsleep(_ body: (SharedQueue<T>) throws -> Void) throws -> (ProcessDescriptor, ProcessIdentity) {
            let identity = try ProcessTable.enter(parent: host, in: arena)
            let process = try HandleRegistry.whileForking(identity, in: arena) { Result { try forkProcess() } }.get()
            guard let process else {
                alarm(120)
                ThreadRecords.forgetAfterFork()
                CurrentProcess.begin(as: identity, in: arena)
                do { try body(queue) } catch {
                    print("the sleeper: \(error)")
                    _exit(1)
                }
                _exit(0)
            }
            let words = [queue.ring.getters, queue.ring.putters].map { WaitEntryPlace($0.offset + WaitQueue.entries, in: arena) }
            let deadline = Deadline(after: .seconds(60))
            while !deadline.hasPassed {
                for place in words where place.load().isWaiting && place.load().phase == .asleep {
                    try waitUntilAsleep(process, in: place.sleepingWord)
                    return (process, identity)
                }
                sched_yield()
            }
            throw Laboratory.Failure(description: "nobody waits in the queue")
        }

        /// Whatever is in the queue is the queue's: its blocks, and holds on its objects.
        func requireKept() throws {
            let keeper = Keeper.of(queue.ring.block)
            var failure: String?
            queue.ring.forEachMessage { message in
                if message.block != 0,
                    Census(arena).blocks[message.block].map({ BlockWord(rawValue: $0).ownerBits }) != keeper?.identity.bits
                {
                    failure = "the block of a message is not the queue's"
                }
                message.forEachHandle(in: arena) {
                    if !isHeld($0, by: keeper) { failure = "an object in a message is not held by the queue" }
                }
                return failure == nil
            }
            if let failure { throw Laboratory.Failure(description: failure) }
        }

        private func isHeld(_ handle: UInt64, by keeper: Keeper?) -> Bool {
            guard let slot = keeper.map({ Int($0.identity.slot) }) else { return false }
            let isObject = BlockWord(rawValue: Census(arena).blocks[Int(handle)] ?? 0).kind == .object
            return isObject && arena.word(Int(handle) + 64 + slot / 64 * 8).pointee.load(ordering: .acquiring) & 1 << UInt64(slot % 64) != 0
        }

        /// The queue, which is empty, has nothing but itself and its table. Then it goes, and all that it had, and its entry.
        func requireNothingLeft() throws {
            let keeper = Keeper.of(queue.ring.block)
            let added = Census(arena).blocks.filter { empty.blocks[$0.key] == nil && UInt64($0.key) != queue.handle }
            if queue.isEmpty {
                let others = added.filter { BlockWord(rawValue: $0.value).ownerBits != keeper?.identity.bits }
                guard others.isEmpty, added.count <= 1 else {
                    throw Laboratory.Failure(
                        description: "beside an empty queue there are \(added.count) blocks, \(others.count) not its own")
                }
                for (offset, word) in empty.blocks where BlockWord(rawValue: word).kind == .object && isHeld(UInt64(offset), by: keeper) {
                    throw Laboratory.Failure(description: "an empty queue holds an object")
                }
            }
            current = nil
            try empty.requireUnchanged(in: arena)
            try requireEqual(ProcessTable.liveEntries(in: arena), [Int(host.slot)])
        }
    }
}

extension MessageRing {
    /// How many values were put, or taken.
    fileprivate func progress(_ place: Int) -> UInt64 { block.payloadWord(place).pointee.load(ordering: .acquiring) }
}
