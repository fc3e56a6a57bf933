import Glibc
import Multiprocessing
import SharedState
import TestSupport
import Testing

extension PublicInterface {
    /// Queues whose putters and getters are killed again and again, wherever they happen to be.
    @Suite struct SharedQueueDeathTests {
        @Test(arguments: [StartMethod.forkServer, .fork], [1, 10]) func aDeathCostsOneValue(method: StartMethod, capacity: Int) throws {
            let arena = try Arena.current()
            try killAtRandom(1, method, capacity)
            let before = (objects: arena.objectsInUse, blocks: blocksKept(in: arena))
            try killAtRandom(30, method, capacity)
            #expect(eventually { arena.objectsInUse <= before.objects }, "\(arena.objectsInUse) objects, \(before.objects) before")
            #expect(eventually { blocksKept(in: arena) <= before.blocks }, "\(blocksKept(in: arena)) blocks, \(before.blocks) before")
        }

        private func killAtRandom(_ kills: Int, _ method: StartMethod, _ capacity: Int) throws {
            let scene = try Scene(capacity)
            var children = try (0..<4).map { try scene.start($0, method) }
            var random = SystemRandomNumberGenerator()
            for _ in 0..<kills {
                // Some work between two deaths; it goes on, though at any moment some of those who do it are dead.
                let goal = scene.tickets.load() + Int.random(in: 1...30, using: &random)
                try #require(eventually(within: .seconds(60)) { scene.tickets.load() >= goal }, "nothing is put any more")
                let index = Int.random(in: 0..<4, using: &random)
                children[index].kill()
                try children[index].join()
                children[index] = try scene.start(index, method)
            }
            scene.isOver.store(true)
            for putter in children[..<2] { try putter.result() }
            scene.queue.close()
            for getter in children[2...] { try getter.result() }
            let tickets = scene.tickets.load()
            let counts = (1...tickets).map { scene.got[$0] }
            #expect(counts.allSatisfy { $0 <= 1 }, "no value is got twice")
            let lost = counts.count { $0 == 0 }
            #expect(lost <= kills, "\(lost) of \(tickets) values lost by \(kills) kills")
            #expect(tickets > kills)
        }

        /// Memory of what the dead were at does not add up while the queue lives.
        @Test func memoryStaysFlat() throws {
            let arena = try Arena.current()
            let queue = try SharedQueue<[Int]>(capacity: 2)
            func kill(_ count: Int) throws {
                for i in 0..<count {
                    let child = ChildProcess(queue, configuration: .init(.fork)) { (queue: SharedQueue<[Int]>) in
                        while true { _ = (try queue.put(Array(repeating: 1, count: 100)), try queue.get()) }
                    }
                    try child.start()
                    usleep(UInt32.random(in: 0..<2000))
                    child.kill()
                    try child.join()
                    // Whoever looks next clears up.
                    if i % 2 == 0 { _ = try queue.tryGet() }
                }
                while try queue.tryGet() != nil {}
            }
            try kill(5)
            let before = blocksKept(in: arena)
            try kill(60)
            #expect(eventually { blocksKept(in: arena) <= before }, "\(blocksKept(in: arena)) blocks, \(before) before")
        }
    }
}

/// How many blocks are in use, but for those of spare processes, which come and go with them.
private func blocksKept(in arena: Arena) -> Int { arena.blocksInUse - ProcessEntry.descendants().count { $0.isSpare } }

/// Children that put numbered values, and such that note which they got.
private struct Scene {
    let queue: SharedQueue<Value>
    let tickets: SharedAtomic<Int>
    let got: SharedArray<UInt8>
    let isOver: SharedAtomic<Bool>

    init(_ capacity: Int) throws {
        queue = try SharedQueue(capacity: capacity)
        tickets = try SharedAtomic(0)
        got = try SharedArray(repeating: 0, count: 1 << 22)
        isOver = try SharedAtomic(false)
    }

    func start(_ index: Int, _ method: StartMethod) throws -> ChildProcess<Void> {
        let child =
            index < 2
            ? ChildProcess(queue, tickets, isOver, configuration: .init(method)) {
                (queue: SharedQueue<Value>, tickets: SharedAtomic<Int>, isOver: SharedAtomic<Bool>) in
                while !isOver.load() { try queue.put(try Value(tickets.add(1))) }
            }
            : ChildProcess(queue, got, configuration: .init(method)) { (queue: SharedQueue<Value>, got: SharedArray<UInt8>) in
                while true {
                    do {
                        let value = try queue.get()
                        guard value.isWhole else { throw Refusal(reason: "torn", code: value.number) }
                        // Only this process has this number.
                        got.withUnsafeMutableBufferPointer { $0[value.number] += 1 }
                    } catch is QueueClosed { return }
                }
            }
        try child.start()
        return child
    }
}

/// A number, alone, with much else, or with a shared object.
private struct Value: Codable, Sendable {
    let number: Int
    let filling: [Int]
    let object: SharedValue<Int>?

    init(_ number: Int) throws {
        self.number = number
        filling = Array(repeating: number, count: number % 4 == 0 ? 200 : 0)
        object = number % 3 == 0 ? try SharedValue(number) : nil
    }
    var isWhole: Bool { filling.allSatisfy { $0 == number } && object?.value ?? number == number }
}
