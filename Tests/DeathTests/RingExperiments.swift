import Glibc
import SharedState
import Synchronization
import SystemLayer

@testable import WorkerSupervision

/// Deaths of a pool's worker between two tasks and in one, with a host that is played by hand.
enum RingExperiments {
    private static let taskCount = 8
    private static let use: UInt32 = 7

    /// A worker reserves two tasks, takes one, does it, and says so.
    static func claimAndFinish() throws {
        let scene = try Scene(workers: 2)
        try Execution(
            name: "PoolBlock, claim and finish", arena: scene.arena, prepare: { _ in scene.publishTasks() }, before: scene.publishInWarmUp,
            operation: { scene.pool.work(asWorker: 0) }, check: { _ in try scene.requireOneOrNone() }, samples: 100
        ).run()
    }

    /// A worker wakes another, of which it must not be the only one to know that it sleeps.
    static func callWorker() throws { try killBesideSleeper("PoolBlock.callWorker") { $0.callWorker() } }

    /// A worker is about to sleep, and must not be called in place of another when it is dead.
    static func sleep() throws { try killBesideSleeper("PoolBlock.sleep") { $0.sleep(0) { true } } }

    private static func killBesideSleeper(_ name: String, _ operation: @escaping (PoolBlock) -> Void) throws {
        let scene = try Scene(workers: 3)
        var sleeper: ProcessDescriptor?
        try Execution(
            name: name, arena: scene.arena, meanwhile: { sleeper = try scene.makeSleepingWorker(1) }, operation: { operation(scene.pool) },
            // As the supervisor does.
            afterDeath: { scene.pool.recall(after: 0) },
            check: { _ in
                scene.publishTasks()
                scene.pool.callWorker()
                guard let sleeper else { return }
                try requireEnd(of: sleeper, "there is work, and a worker sleeps on")
                scene.pool.sleepers(0).pointee.store(0, ordering: .relaxed)
            },
            // The first use of a system call is another path: the dynamic linker has to find the function.
            undo: { scene.pool.called(2).wake() }
        ).run()
    }

    private final class Scene {
        let arena: Arena
        let pool: PoolBlock
        private let host: Int32 = getpid()

        init(workers: Int) throws {
            arena = try Arena.current()
            var header = PoolBlock.Header()
            (header.workers, header.slots) = (workers, 8)
            pool = try PoolBlock(header: header, in: arena)
        }

        /// What the host does with a task, for tasks that ask for their slot's number.
        func publishTasks() {
            pool.head.pointee.store(pool.tail.pointee.load(ordering: .relaxed), ordering: .relaxed)
            pool.progress(0).pointee.store(0, ordering: .relaxed)
            for slot in 0..<taskCount {
                pool.setPlace(PayloadPlace(inlineBytes: 0), pool.resultParts, slot)
                pool.small(pool.resultParts, slot).storeBytes(of: 0, as: UInt64.self)
                pool.word(slot).pointee.store(
                    SlotWord(.ready, use: use, flags: SlotWord.supervised | SlotWord.waiter).rawValue, ordering: .releasing)
                pool.enqueue(slot, use: use, ahead: slot, isBunchable: true)
            }
            pool.publish(taskCount)
        }

        /// Only this process, in order to warm up, has to publish for itself.
        func publishInWarmUp() { if getpid() == host { publishTasks() } }

        /// The dead worker, whose index is 0, has at most one task, in one state or the other, and all the others can be had.
        func requireOneOrNone() throws {
            var own: [Int] = []
            for slot in 0..<taskCount {
                let word = pool.load(slot)
                try requireEqual(word.use, use)
                switch word.phase {
                case .ready: try requireEqual(word.worker, -1)
                case .claimed, .value:
                    try requireEqual(word.worker, 0)
                    own.append(slot)
                    if word.phase == .value {
                        try requireEqual(pool.bytes(pool.resultParts, slot).loadUnaligned(as: UInt64.self), UInt64(slot) + 100)
                        try requireEqual(pool.bytes(pool.resultParts, slot).count, 8)
                    } else {
                        // As the supervisor does it for a task that may run again.
                        pool.word(slot).pointee.store(word.retried.rawValue, ordering: .releasing)
                        pool.enqueue(slot, use: use, ahead: 0)
                        pool.publish(1)
                        own.removeLast()
                    }
                default: throw Laboratory.Failure(description: "the task \(slot) is \(word.phase)")
                }
            }
            guard own.count <= 1 else { throw Laboratory.Failure(description: "the dead worker has had the tasks \(own)") }
            var others: [Int] = []
            // As a successor does, if the dead one had not said yet that others may.
            while let task = pool.steal(from: 0, for: 1) { others.append(task.slot) }
            // The other worker finds what is in the queue, and what the dead one has reserved and not come to.
            while pool.reserve(for: 1, atMost: 1) > 0 {
                var entries = 0..<1
                if let task = pool.claimReserved(&entries, for: 1) { others.append(task.slot) }
            }
            while let task = pool.steal(for: 1) { others.append(task.slot) }
            try requireEqual((own + others).sorted(), Array(0..<taskCount))
            try requireEqual(pool.hasWork, false)
        }

        /// A worker that sleeps once, and ends when it has been called.
        func makeSleepingWorker(_ index: Int) throws -> ProcessDescriptor {
            guard let process = try forkProcess() else {
                alarm(120)
                pool.sleep(index) { false }
                _exit(0)
            }
            try waitUntilAsleep(process, in: pool.called(index))
            return process
        }
    }
}

extension PoolBlock {
    /// A worker's loop, once round.
    fileprivate func work(asWorker worker: Int) {
        var entries = 0..<reserve(for: worker, atMost: 2)
        setBunched(worker, true)
        guard let task = claimReserved(&entries, for: worker) else { return }
        // Not the time: what the kernel's code for that does differs with the time it takes, and no two victims would take the same path.
        claimedAt(task.slot).pointee.store(1, ordering: .releasing)
        small(resultParts, task.slot).storeBytes(of: UInt64(task.slot) + 100, as: UInt64.self)
        setPlace(PayloadPlace(inlineBytes: 8), resultParts, task.slot)
        _ = move(task.slot, from: task.word, to: task.word.moved(to: .value))
        announceEnd(of: task.slot, old: task.word)
    }
}
