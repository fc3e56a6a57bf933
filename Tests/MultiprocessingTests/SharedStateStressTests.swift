import Glibc
import Multiprocessing
import SharedState
import TestSupport
import Testing

extension PublicInterface {
    /// Many at once, more than there are processors, in processes and threads, that are killed again and again, wherever they happen to be.
    @Suite struct SharedStateStressTests {
        private static let isExtended = getenv("MP_EXTENDED") != nil

        /// What an increment was, is, whole: the sums are those that the contenders count by themselves, but for one, of each sum, for each thread that was killed.
        @Test(arguments: [LockKind.adaptive, .pthreadRobust], [StartMethod.fork, .forkServer]) func sumsAreExactThoughTheyAreKilled(
            kind: LockKind, method: StartMethod
        ) throws {
            let arena = try Arena.current()
            // What is made once for all.
            try killAtRandom(kind, method, kills: 1, increments: 0)
            let before = arena.objectsInUse
            let (kills, increments) = Self.isExtended ? (2_000, 20_000_000) : (60, 200_000)
            try killAtRandom(kind, method, kills: kills, increments: increments)
            #expect(eventually { arena.objectsInUse <= before }, "\(arena.objectsInUse) objects, \(before) before")
        }

        private func killAtRandom(_ kind: LockKind, _ method: StartMethod, kills: Int, increments: Int) throws {
            let scene = try Scene(kind)
            var children = try (0..<Scene.children).map { try scene.start($0, method) }
            // Threads of this process are among them.
            let ownThreads = (0..<Scene.threads).map { thread in OwnThread { scene.work(Scene.children * Scene.threads + thread) } }
            var random = SystemRandomNumberGenerator()
            for kill in 0..<kills {
                // Often at once, when it has hardly begun; and at times after everybody has done something, so that a wedge shows.
                if kill % 8 == 0 { try scene.requireProgress() }
                usleep(UInt32.random(in: 0..<3000, using: &random))
                let index = Int.random(in: 0..<Scene.children, using: &random)
                children[index].kill()
                try children[index].join()
                children[index] = try scene.start(index, method)
            }
            let goal = Int64(increments)
            while scene.counter.value < goal { try scene.requireProgress() }
            try scene.requireProgress()
            scene.isOver.store(true)
            for child in children { try child.result() }
            for thread in ownThreads { thread.join() }
            scene.requireSums(kills: kills)
        }
    }
}

/// Everything that can be incremented, and who does.
private struct Scene: Codable, Sendable {
    /// Processes, and threads in each.
    static let (children, threads) = (4, 2)
    static let contenders = (children + 1) * threads
    /// How many sums there are: by a value's lock, atomically, under two locks, and under the inner of them alone or not.
    static let sums = 4
    /// Of a contender's own sums, on a cache line of their own.
    static let stride = 8

    let counter: SharedValue<Int64>
    let atomic: SharedAtomic<Int64>
    let outer: SharedLock
    let inner: SharedLock
    /// Two numbers under each of the locks, which are equal but while it is held.
    let pairs: SharedArray<Int64>
    let cells: SharedArray<Int64>
    let isOver: SharedAtomic<Bool>

    init(_ kind: LockKind) throws {
        counter = try SharedValue(0)
        atomic = try SharedAtomic(0)
        outer = try SharedLock(kind: kind)
        inner = try SharedLock(kind: kind)
        pairs = try SharedArray(repeating: 0, count: 4)
        cells = try SharedArray(repeating: 0, count: Self.contenders * Self.stride)
        isOver = try SharedAtomic(false)
    }

    func start(_ index: Int, _ method: StartMethod) throws -> ChildProcess<Void> {
        let child = ChildProcess(self, index, configuration: .init(method)) { (scene: Scene, index: Int) in
            let other = OwnThread { scene.work(index * Scene.threads + 1) }
            scene.work(index * Scene.threads)
            other.join()
        }
        try child.start()
        return child
    }

    /// Increments until it is over.
    func work(_ contender: Int) {
        do { try incrementAll(contender) } catch { fatalError("\(error)") }
    }

    private func incrementAll(_ contender: Int) throws {
        try pairs.withUnsafeMutableBufferPointer { pairs in
            try cells.withUnsafeMutableBufferPointer { cells in
                let own = contender * Self.stride
                while !isOver.load() {
                    for turn in 0..<32 {
                        counter.withLock { $0 += 1 }
                        cells[own] += 1
                        atomic.add(1)
                        cells[own + 1] += 1
                        if turn % 4 == 0 {
                            try change(0, pairs, outer) { try change(2, pairs, inner) {} }
                            cells[own + 2] += 1
                            cells[own + 3] += 1
                        }
                        if turn % 4 == 1 {
                            try change(2, pairs, inner) {}
                            cells[own + 3] += 1
                        }
                    }
                }
            }
        }
    }

    /// Increments a pair, one after the other, with `body` in between.
    private func change(
        _ first: Int, _ pairs: UnsafeMutableBufferPointer<Int64>, _ lock: SharedLock, _ body: () throws -> Void
    ) throws {
        try lock.withLock(repair: {
            // Half an increment is made a whole one.
            let half = pairs[first] - pairs[first + 1]
            guard half == 0 || half == 1 else { throw Refusal(reason: "more than half an increment", code: first) }
            pairs[first + 1] = pairs[first]
        }) {
            guard pairs[first] == pairs[first + 1] else { throw Refusal(reason: "another is inside, or died there untold", code: first) }
            pairs[first] += 1
            try body()
            pairs[first + 1] += 1
        }
    }

    private func own(_ sum: Int) -> [Int64] { (0..<Self.contenders).map { cells[$0 * Self.stride + sum] } }

    /// That every contender goes on; those that are alive, at least.
    func requireProgress() throws {
        let before = own(3)
        try #require(
            eventually(within: .seconds(60)) { zip(own(3), before).allSatisfy { $0 > $1 } }, "some make no progress: \(before), \(own(3))")
    }

    func requireSums(kills: Int) {
        let totals = [counter.value, atomic.load(), pairs[0], pairs[2]]
        for sum in 0..<Self.sums {
            let lost = totals[sum] - own(sum).reduce(0, +)
            #expect((0...Int64(kills * Self.threads)).contains(lost), "sum \(sum): \(totals[sum]), \(lost) of which nobody has counted")
        }
        #expect(pairs[0] - pairs[1] <= 1 && pairs[2] - pairs[3] <= 1)
    }
}
