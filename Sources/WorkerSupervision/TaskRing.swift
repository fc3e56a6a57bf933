import SharedState
import Synchronization
import SystemLayer

/// The moves on a pool's tasks that host and workers make. The room's README names the states, who may make each move, and why none can be lost.
extension PoolBlock {
    // Sequentially consistent, for the sake of publishers that wait for space: they announce themselves and then look at the words, while workers move a word
    // and then look for the announcement, and one of the two must see the other.
    @inline(__always)
    func load(_ slot: Int) -> SlotWord { SlotWord(rawValue: word(slot).pointee.load(ordering: .sequentiallyConsistent)) }

    @inline(__always)
    func move(_ slot: Int, from old: SlotWord, to new: SlotWord) -> Bool {
        word(slot).pointee.compareExchange(expected: old.rawValue, desired: new.rawValue, ordering: .sequentiallyConsistent).exchanged
    }

    // MARK: The queue

    /// How many entries can be appended now. One thread of the host at a time.
    func room(atLeast wanted: Int) -> Int {
        let position = tail.pointee.load(ordering: .relaxed)
        let room = 2 * slots - Int(position &- head.pointee.load(ordering: .acquiring))
        if room >= wanted { return room }
        skipTaken()
        return 2 * slots - Int(position &- head.pointee.load(ordering: .acquiring))
    }

    /// Puts an entry behind the tail, `ahead` places away, where there must be room; ``publish(_:)`` makes it count. One thread of the host at a time.
    @inline(__always)
    func enqueue(_ slot: Int, use: UInt32, ahead: Int) {
        let position = tail.pointee.load(ordering: .relaxed) &+ UInt64(ahead)
        queued(position).pointee.store(Self.entry(slot, use), ordering: .relaxed)
    }

    /// Moves the tail over `count` entries.
    func publish(_ count: Int) {
        tail.pointee.store(tail.pointee.load(ordering: .relaxed) &+ UInt64(count), ordering: .sequentiallyConsistent)
    }

    static func entry(_ slot: Int, _ use: UInt32) -> UInt64 { UInt64(slot) | UInt64(use) << 32 }

    /// How many entries nobody has reserved yet. Some may be of tasks that were cancelled.
    var queueLength: Int {
        let head = head.pointee.load(ordering: .sequentiallyConsistent)
        return max(0, Int(bitPattern: UInt(tail.pointee.load(ordering: .sequentiallyConsistent) &- head)))
    }
    var isQueueEmpty: Bool { queueLength == 0 }

    /// Moves the head past tasks that are no longer there to be claimed.
    private func skipTaken() {
        while true {
            let position = head.pointee.load(ordering: .acquiring)
            if position >= tail.pointee.load(ordering: .acquiring) { return }
            if isReady(queued(position).pointee.load(ordering: .acquiring)) { return }
            _ = head.pointee.compareExchange(expected: position, desired: position &+ 1, ordering: .acquiringAndReleasing)
        }
    }

    private func isReady(_ entry: UInt64) -> Bool {
        let current = load(Int(entry & 0xffff_ffff))
        return current.phase == .ready && current.use == UInt32(entry >> 32)
    }

    // MARK: Reserving and claiming

    /// Copies the oldest entries into `worker`'s record and takes them off the queue: their tasks are still anybody's to claim, but are looked for there from now
    /// on. Several when there is plenty, so that the queue is gone to less often; one when there is little.
    /// - Returns: how many. The record was done with before.
    func reserve(for worker: Int, atMost limit: Int) -> Int {
        let record = record(worker)
        while true {
            let position = head.pointee.load(ordering: .acquiring)
            let end = tail.pointee.load(ordering: .acquiring)
            guard position < end else { return 0 }
            let count = min(limit, Self.mostReserved, max(1, Int(end &- position) / (2 * workers)))
            progress(worker).pointee.store(0, ordering: .releasing)
            for i in 0..<count {
                record[i].store(queued(position &+ UInt64(i)).pointee.load(ordering: .relaxed), ordering: .relaxed)
            }
            // Before the head moves: entries that only this worker knows would die with it.
            progress(worker).pointee.store(UInt64(count) << 32, ordering: .sequentiallyConsistent)
            // The entries were there to be copied as long as the head is where it was.
            if head.pointee.compareExchange(
                expected: position, desired: position &+ UInt64(count), ordering: .sequentiallyConsistent
            ).exchanged {
                return count
            }
        }
    }

    /// Takes the task of an entry for `worker`. This move is the claim, wherever the entry was found.
    /// - Returns: the task, with its word as it then is; nil when it is no longer there to be claimed.
    @inline(__always)
    func claim(_ entry: UInt64, for worker: Int) -> ClaimedTask? {
        let slot = Int(entry & 0xffff_ffff)
        while true {
            let current = load(slot)
            guard current.phase == .ready, current.use == UInt32(entry >> 32) else { return nil }
            let claimed = current.claimed(by: worker)
            // It fails when another was faster, and when a waiter has set its flag meanwhile.
            if move(slot, from: current, to: claimed) { return ClaimedTask(slot: slot, word: claimed) }
        }
    }

    /// Takes the first task of the worker's own record that is still to be had. `entries` are those that have not been tried.
    @inline(__always)
    func claimReserved(_ entries: inout Range<Int>, for worker: Int) -> ClaimedTask? {
        while let entry = entries.popFirst() {
            let task = claim(record(worker)[entry].load(ordering: .relaxed), for: worker)
            // Only now: an entry that nobody looks at any more must not be ready any more.
            progress(worker).pointee.store(UInt64(entries.lowerBound) | UInt64(entries.upperBound) << 32, ordering: .releasing)
            if let task { return task }
        }
        return nil
    }

    /// Takes a task for `worker` that another one has reserved and not come to, whether that one lives or not.
    func steal(for worker: Int) -> ClaimedTask? {
        var found: ClaimedTask?
        visitReserved(startingBehind: worker) { entry in
            found = claim(entry, for: worker)
            return found == nil
        }
        return found
    }

    /// Whether a task is in some worker's record that is still to be claimed.
    var hasReserved: Bool {
        var found = false
        visitReserved(startingBehind: 0) { entry in
            found = isReady(entry)
            return !found
        }
        return found
    }

    /// Calls `body` with the entries that workers have reserved and not tried yet, the last ones of each worker first, until it returns false.
    private func visitReserved(startingBehind worker: Int, _ body: (UInt64) -> Bool) {
        var other = worker
        for _ in 0..<workers {
            other = other + 1 < workers ? other + 1 : 0
            let progress = progress(other).pointee.load(ordering: .sequentiallyConsistent)
            var i = Int(progress >> 32)
            let tried = Int(progress & 0xffff_ffff)
            while i > tried {
                i -= 1
                if !body(record(other)[i].load(ordering: .acquiring)) { return }
            }
        }
    }

    // MARK: Calling workers

    /// Sees to it that somebody takes a task that is there: wakes a sleeping worker that has announced itself, unless another is awake and looking, who then calls the
    /// next if there is more.
    @inline(__always)
    func callWorker() {
        for i in 0..<(workers + 63) / 64 where searchers(i).pointee.load(ordering: .sequentiallyConsistent) != 0 { return }
        for i in 0..<(workers + 63) / 64 where sleepers(i).pointee.load(ordering: .sequentiallyConsistent) != 0 { if wakeSleeper(i) { return } }
    }

    /// Returns false when all have been woken by others.
    @inline(never)
    private func wakeSleeper(_ i: Int) -> Bool {
        var bits = sleepers(i).pointee.load(ordering: .sequentiallyConsistent)
        while bits != 0 {
            let bit = bits & (~bits + 1)
            bits = sleepers(i).pointee.bitwiseAnd(~bit, ordering: .sequentiallyConsistent).oldValue
            if bits & bit != 0 {
                let word = called(i * 64 + bit.trailingZeroBitCount)
                word.pointee.store(1, ordering: .sequentiallyConsistent)
                word.wake()
                return true
            }
        }
        return false
    }

    /// After the death of `dead`: calls the workers that it may have been about to wake. Having taken their bits, it was the only one to know that they sleep.
    /// Of all others whose bit is not set this only makes sure that they look once more before they sleep.
    func recallWorkers(after dead: Int) {
        // What it was itself called for, or would have found, is for others now.
        searchers(dead / 64).pointee.bitwiseAnd(~(1 << UInt64(dead % 64)), ordering: .sequentiallyConsistent)
        sleepers(dead / 64).pointee.bitwiseAnd(~(1 << UInt64(dead % 64)), ordering: .sequentiallyConsistent)
        for worker in 0..<workers {
            let bits = sleepers(worker / 64).pointee.load(ordering: .sequentiallyConsistent)
            if bits & 1 << UInt64(worker % 64) != 0 { continue }
            called(worker).pointee.store(1, ordering: .sequentiallyConsistent)
            called(worker).wake()
        }
        if hasWork { callWorker() }
        // It may have been about to tell publishers.
        if publishersWaiting.pointee.load(ordering: .sequentiallyConsistent) != 0 { wakePublishers() }
    }

    func callAllWorkers() {
        for worker in 0..<workers {
            called(worker).pointee.store(1, ordering: .sequentiallyConsistent)
            called(worker).wake()
        }
    }

    /// Whether there is a task to be claimed, as far as workers look.
    var hasWork: Bool { !isQueueEmpty || hasReserved }

    /// Sleeps until the worker is called, unless `isNeeded` turns out true after it has announced itself.
    func sleep(_ worker: Int, unless isNeeded: () -> Bool) {
        let bit = UInt64(1) << UInt64(worker % 64)
        called(worker).pointee.store(0, ordering: .sequentiallyConsistent)
        sleepers(worker / 64).pointee.bitwiseOr(bit, ordering: .sequentiallyConsistent)
        if !isNeeded() { called(worker).wait(while: 0) }
        sleepers(worker / 64).pointee.bitwiseAnd(~bit, ordering: .sequentiallyConsistent)
    }

    /// Says that a worker is awake and looks for work, or does so no more: then it looks once more before it sleeps.
    func setSearching(_ worker: Int, _ isSearching: Bool) {
        let bit = UInt64(1) << UInt64(worker % 64)
        if isSearching {
            searchers(worker / 64).pointee.bitwiseOr(bit, ordering: .sequentiallyConsistent)
        } else {
            searchers(worker / 64).pointee.bitwiseAnd(~bit, ordering: .sequentiallyConsistent)
        }
    }

    // MARK: Hearing of ends

    /// Makes the supervisor look around.
    func callSupervisor() {
        attention.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if supervisorAsleep.pointee.load(ordering: .sequentiallyConsistent) != 0 { attention.wake() }
    }

    /// Tells whoever has asked that a worker has ended the task in `slot`; `old` is its word before.
    @inline(__always)
    func announceEnd(of slot: Int, old: SlotWord) {
        if old.hasFlags { tellAskers(of: slot, old: old) }
        announceProgress()
    }

    @inline(never)
    private func tellAskers(of slot: Int, old: SlotWord) {
        if old.hasWaiter { futex(slot).wakeAll() }
        if old.isSupervised {
            finished(slot / 64).pointee.bitwiseOr(1 << UInt64(slot % 64), ordering: .sequentiallyConsistent)
            callSupervisor()
        }
    }

    // MARK: Publishers that wait

    /// With how many entries left in the queue publishers that wait are to be woken. A wake-up takes as long as hundreds of small tasks: it has to come before the
    /// queue is empty, but not for the sake of one task.
    var callBelow: Int { slots / 8 }

    /// Tells publishers that wait, after the queue has become shorter or a task has ended, unless there is still enough for workers to do.
    @inline(__always)
    func announceProgress() {
        if publishersWaiting.pointee.load(ordering: .sequentiallyConsistent) != 0, queueLength <= callBelow { wakePublishers() }
    }

    /// Has publishers that wait look again.
    @inline(never)
    func wakePublishers() {
        space.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        space.wakeAll()
    }
}

/// A task that a worker has taken, and its word since.
struct ClaimedTask: BitwiseCopyable {
    let slot: Int
    let word: SlotWord
}
