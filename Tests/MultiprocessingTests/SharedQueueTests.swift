import Glibc
import Multiprocessing
import SharedState
import TestSupport
import Testing

extension PublicInterface {
    /// Shared queues between processes.
    @Suite struct SharedQueueTests {
        @Test(arguments: StartMethod.all, [1, 50]) func everyValueIsGotOnce(method: StartMethod, capacity: Int) throws {
            let arena = try Arena.current()
            let before = arena.objectsInUse
            do {
                let queue = try SharedQueue<Item>(capacity: capacity)
                let sums = try SharedArray(repeating: 0, count: 4000)
                let each = 1000
                let putters = (0..<2).map { putter in
                    ChildProcess(queue, putter, each, configuration: .init(method)) { (queue: SharedQueue<Item>, putter: Int, each: Int) in
                        for i in 0..<each { try queue.put(Item(putter * each + i, large: i % 100 == 0)) }
                    }
                }
                let getters = (0..<2).map { _ in
                    ChildProcess(queue, sums, configuration: .init(method)) { (queue: SharedQueue<Item>, sums: SharedArray<Int>) in
                        while let item = try queue.get(timeout: .seconds(60)) {
                            guard item.isWhole else { throw Refusal(reason: "torn", code: item.number) }
                            sums.withLock { $0[item.number] += 1 }
                        }
                    }
                }
                for child in putters + getters { try child.start() }
                // And the threads of this process, of which the last to put something closes the queue.
                let left = try SharedAtomic(2)
                onThreads(4) { thread in
                    if thread < 2 {
                        for i in 0..<each { try? queue.put(Item((2 + thread) * each + i, large: i % 100 == 0)) }
                        if left.add(-1) > 0 { return }
                        for child in putters { try? child.result() }
                        queue.close()
                    } else {
                        while let item = try? queue.get() { if item.isWhole { sums.withLock { $0[item.number] += 1 } } }
                    }
                }
                for child in getters { #expect(throws: QueueClosed.self) { try child.result() } }
                #expect(sums.indices.allSatisfy { sums[$0] == 1 })
            }
            #expect(eventually { arena.objectsInUse <= before }, "\(arena.objectsInUse) objects, \(before) before")
        }

        @Test(arguments: StartMethod.all) func whatAProcessHasPutOutlivesIt(method: StartMethod) throws {
            let arena = try Arena.current()
            let before = (arena.objectsInUse, arena.blocksInUse)
            do {
                let queue = try SharedQueue<Parcel>(capacity: 10)
                var got = 0
                for how in [nil, Death.killed, .exit0, .trap] {
                    let child = ChildProcess(queue, how, configuration: .init(method)) { (queue: SharedQueue<Parcel>, how: Death?) in
                        for i in 0..<3 {
                            try queue.put(Parcel(contents: try SharedArray(Array(0..<1000 + i)), note: String(repeating: "x", count: 5000)))
                        }
                        how?.happen()
                    }
                    try child.start()
                    try child.join()
                    for _ in 0..<2 {
                        let parcel = try queue.get()
                        #expect(parcel.contents.count == 1000 + got % 3 && parcel.contents[999] == 999)
                        #expect(parcel.note.utf8.count == 5000)
                        got += 1
                    }
                }
                #expect(queue.count == 4)
            }
            // The queue is gone, and with it what was left in it. (Spare processes have blocks that come and go.)
            #expect(eventually { arena.objectsInUse <= before.0 }, "\(arena.objectsInUse) objects, \(before.0) before")
            #expect(eventually { arena.blocksInUse <= before.1 + 2 }, "\(arena.blocksInUse) blocks, \(before.1) before")
        }

        @Test(arguments: StartMethod.all) func processesThatWaitAreTold(method: StartMethod) throws {
            let (empty, full) = (try SharedQueue<Int>(capacity: 1), try SharedQueue<Int>(capacity: 1))
            try full.put(0)
            let begun = try SharedValue(0)
            let children = (0..<4).map { i in
                ChildProcess(i, empty, full, begun, configuration: .init(method)) {
                    (i: Int, empty: SharedQueue<Int>, full: SharedQueue<Int>, begun: SharedValue<Int>) in
                    begun.withLock { $0 += 1 }
                    if i % 2 == 0 { _ = try empty.get() } else { try full.put(i) }
                }
            }
            for child in children { try child.start() }
            while begun.value < 4 { usleep(500) }
            empty.close()
            full.close()
            for child in children { #expect(throws: QueueClosed.self) { try child.result() } }
        }

        @Test func tasksOfAPoolUseAQueue() throws {
            let (questions, answers) = (try SharedQueue<String>(capacity: 3), try SharedQueue<[String: Int]>(capacity: 3))
            try withPool(processes: 2) { pool in
                let done = (0..<2).map { _ in
                    pool.applyAsync(
                        { (questions: SharedQueue<String>, answers: SharedQueue<[String: Int]>) in
                            var n = 0
                            while true {
                                do {
                                    let question = try questions.get()
                                    try answers.put([question: question.utf8.count])
                                    n += 1
                                } catch is QueueClosed { return n }
                            }
                        }, questions, answers)
                }
                let right = Counter()
                onThreads(2) { thread in
                    for i in 0..<300 {
                        if thread == 0 {
                            try? questions.put(String(repeating: "q", count: i))
                        } else if let (question, length) = try? answers.get().first, question.utf8.count == length {
                            right.add(1)
                        }
                    }
                }
                questions.close()
                #expect(right.value == 300)
                let answered = try done.map { try $0.get() }
                #expect(answered.reduce(0, +) == 300)
            }
        }

        @Test func largeValuesBetweenProcesses() throws {
            let (out, back) = (try SharedQueue<[UInt64]>(capacity: 1), try SharedQueue<[UInt64]>(capacity: 1))
            let child = ChildProcess(out, back) { (out: SharedQueue<[UInt64]>, back: SharedQueue<[UInt64]>) in
                while true {
                    var large = try out.get()
                    large[0] += 1
                    try back.put(large)
                }
            }
            try child.start()
            var large = [UInt64](repeating: 0x0123_4567_89ab_cdef, count: 8 << 20)
            for _ in 0..<3 {
                try out.put(large)
                large[0] += 1
                #expect(try back.get() == large)
            }
            out.close()
            #expect(throws: QueueClosed.self) { try child.result() }
        }

        @Test(arguments: StartMethod.all) func connectionsThroughAQueue(method: StartMethod) throws {
            let queue = try SharedQueue<Connection>(capacity: 4)
            let (mine, theirs) = try pipe()
            // Got by the process that has put it…
            try queue.put(theirs)
            try queue.get().send(1)
            // … by another …
            try queue.put(theirs)
            let child = ChildProcess(queue, configuration: .init(method)) { try $0.get().send(2) }
            try child.start()
            try child.result()
            // … put by another, which has ended by then …
            let putter = ChildProcess(queue, theirs, configuration: .init(method)) { try $0.put($1) }
            try putter.start()
            try putter.join()
            try queue.get().send(3)
            #expect(try (0..<3).map { _ in try mine.receive(Int.self) } == [1, 2, 3])
            // … and by nobody: it goes with the queue.
            do {
                let dropped = try SharedQueue<Connection>(capacity: 1)
                try dropped.put(theirs)
                try theirs.close()
                #expect(try mine.receive(Int.self, timeout: .zero) == nil, "the queue holds it")
            }
            #expect(throws: ConnectionError.endOfStream) { try mine.receive(Int.self) }
            #expect(eventually { DescriptorDepot.count == 0 })
        }

        @Test func errorsComeAsTheyAre() throws {
            let queue = try SharedQueue<Int>(capacity: 1)
            queue.close()
            try withPool(processes: 1) { pool in
                _ = #expect(throws: QueueClosed.self) { try pool.apply({ (queue: SharedQueue<Int>) in try queue.get() }, queue) }
            }
        }
    }
}

/// A number, and sometimes much else.
private struct Item: Codable, Sendable {
    let number: Int
    let filling: [Int]

    init(_ number: Int, large: Bool) {
        self.number = number
        filling = Array(repeating: number, count: large ? 20_000 : number % 10)
    }
    var isWhole: Bool { filling.allSatisfy { $0 == number } }
}

private struct Parcel: Codable, Sendable {
    let contents: SharedArray<Int>
    let note: String
}
