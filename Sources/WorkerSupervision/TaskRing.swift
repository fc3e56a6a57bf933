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
    /// - Parameter knownHead: where the head has been seen. It is only looked up when that does not suffice: its line is the workers'.
    @inline(__always)
    func room(atLeast wanted: Int, _ knownHead: inout UInt64) -> Int {
        let position = tail.pointee.load(ordering: .relaxed)
        let room = 2 * slots - Int(position &- knownHead)
        return room >= wanted ? room : makeRoom(atLeast: wanted, &knownHead)
    }

    @inline(never)
    private func makeRoom(atLeast wanted: Int, _ knownHead: inout UInt64) -> Int {
        let position = tail.pointee.load(ordering: .relaxed)
        knownHead = head.pointee.load(ordering: .acquiring)
        if 2 * slots - Int(position &- knownHead) < wanted {
            skipTaken()
            knownHead = head.pointee.load(ordering: .acquiring)
        }
        return 2 * slots - Int(position &- knownHead)
    }

    /// Puts an entry behind the tail, `ahead` places away, where there must be room; ``publish(_:)`` makes it count. One thread of the host at a time.
    /// - Parameter isBunchable: a worker may reserve it together with others, and then it may have to wait for those before it.
    @inline(__always)
    func enqueue(_ slot: Int, use: UInt32, ahead: Int, isBunchable: Bool = false) {
        let position = tail.pointee.load(ordering: .relaxed) &+ UInt64(ahead)
        queued(position).pointee.store(QueueEntry(slot: slot, use: use, isBunchable: isBunchable).rawValue, ordering: .relaxed)
    }

    /// Moves the tail over `count` entries.
    func publish(_ count: Int) {
        let position = tail.pointee.load(ordering: .relaxed)
        if count == 1 {
            // Whoever reads the position, the entry and the same position again has read the entry of that position.
            lastPosition.pointee.store(.max, ordering: .releasing)
            lastEntry.pointee.store(queued(position).pointee.load(ordering: .relaxed), ordering: .releasing)
            lastPosition.pointee.store(position, ordering: .releasing)
        }
        tail.pointee.store(position &+ UInt64(count), ordering: .sequentiallyConsistent)
    }

    /// The entry at a position of the queue that is not empty.
    @inline(__always)
    private func entry(at position: UInt64) -> UInt64 {
        if lastPosition.pointee.load(ordering: .acquiring) == position {
            let entry = lastEntry.pointee.load(ordering: .acquiring)
            if lastPosition.pointee.load(ordering: .acquiring) == position { return entry }
        }
        return queued(position).pointee.load(ordering: .relaxed)
    }

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
            if isReady(QueueEntry(rawValue: queued(position).pointee.load(ordering: .acquiring))) { return }
            _ = head.pointee.compareExchange(expected: position, desired: position &+ 1, ordering: .acquiringAndReleasing)
        }
    }

    private func isReady(_ entry: QueueEntry) -> Bool {
        let current = load(entry.slot)
        return current.phase == .ready && current.use == entry.use
    }

    // MARK: Reserving and claiming

    /// How many tasks ahead a slot's line is asked for.
    static let prefetchDistance = 4

    /// Copies the oldest entries into `worker`'s record and takes them off the queue: their tasks are still anybody's to claim, but are looked for there from now
    /// on. Several when there is plenty and they may be bunched, so that the queue is gone to less often; else one.
    /// - Returns: how many. The record was done with before.
    func reserve(for worker: Int, atMost limit: Int) -> Int {
        let record = record(worker)
        while true {
            let position = head.pointee.load(ordering: .acquiring)
            let end = tail.pointee.load(ordering: .acquiring)
            guard position < end else { return 0 }
            let most = min(limit, Self.mostReserved, max(1, Int(end &- position) / (2 * workers)))
            var count = 0
            progress(worker).pointee.store(0, ordering: .releasing)
            while count < most {
                let entry = entry(at: position &+ UInt64(count))
                if count > 0, !QueueEntry(rawValue: entry).isBunchable { break }
                record[count].store(entry, ordering: .relaxed)
                count += 1
                if !QueueEntry(rawValue: entry).isBunchable { break }
            }
            // Before the head moves: entries that only this worker knows would die with it.
            progress(worker).pointee.store(RecordProgress(untried: 0..<count).rawValue, ordering: .releasing)
            // The entries were there to be copied as long as the head is where it was.
            if head.pointee.compareExchange(
                expected: position, desired: position &+ UInt64(count), ordering: .sequentiallyConsistent
            ).exchanged {
                if count > 1 {
                    for i in 1..<min(count, Self.prefetchDistance) {
                        prefetchSlot(QueueEntry(rawValue: record[i].load(ordering: .relaxed)).slot)
                    }
                }
                return count
            }
        }
    }

    /// Says that others may take tasks out of a worker's record, or that there are none any more.
    func setBunched(_ worker: Int, _ isBunched: Bool) { set(worker, isBunched, in: bunched(worker / 64)) }

    /// Takes the task of an entry for `worker`. This move is the claim, wherever the entry was found.
    /// - Returns: the task, with its word as it then is; nil when it is no longer there to be claimed.
    @inline(__always)
    func claim(_ entry: QueueEntry, for worker: Int) -> ClaimedTask? {
        let slot = entry.slot
        // What it most likely is: a look beforehand would fetch the line twice, once to read and once to write.
        var current = SlotWord(.ready, use: entry.use)
        while true {
            let claimed = current.claimed(by: worker)
            let (exchanged, original) = word(slot).pointee.compareExchange(
                expected: current.rawValue, desired: claimed.rawValue, ordering: .sequentiallyConsistent)
            if exchanged { return ClaimedTask(slot: slot, word: claimed) }
            // Another was faster, or somebody has set a flag.
            current = SlotWord(rawValue: original)
            guard current.phase == .ready, current.use == entry.use else { return nil }
        }
    }

    /// Takes the first task of the worker's own record that is still to be had. `entries` are those that have not been tried.
    @inline(__always)
    func claimReserved(_ entries: inout Range<Int>, for worker: Int) -> ClaimedTask? {
        while let entry = entries.popFirst() {
            let ahead = entry + Self.prefetchDistance
            if ahead < entries.upperBound { prefetchSlot(QueueEntry(rawValue: record(worker)[ahead].load(ordering: .relaxed)).slot) }
            let task = claim(QueueEntry(rawValue: record(worker)[entry].load(ordering: .relaxed)), for: worker)
            // Only now: an entry that nobody looks at any more must not be ready any more.
            progress(worker).pointee.store(RecordProgress(untried: entries).rawValue, ordering: .releasing)
            if let task { return task }
        }
        return nil
    }

    /// Takes a task for `worker` that another one has reserved and not come to, whether that one lives or not.
    func steal(for worker: Int) -> ClaimedTask? {
        var found: ClaimedTask?
        visitReserved { entry in
            found = claim(entry, for: worker)
            return found == nil
        }
        return found
    }

    /// The same from one other worker.
    func steal(from other: Int, for worker: Int) -> ClaimedTask? {
        var found: ClaimedTask?
        _ = visitReserved(by: other) { entry in
            found = claim(entry, for: worker)
            return found == nil
        }
        return found
    }

    /// Whether a task is in some worker's record that is still to be claimed.
    var hasReserved: Bool {
        var found = false
        visitReserved { entry in
            found = isReady(entry)
            return !found
        }
        return found
    }

    /// Calls `body` with the entries that workers have reserved and not tried yet, until it returns false.
    private func visitReserved(_ body: (QueueEntry) -> Bool) {
        for i in 0..<(workers + 63) / 64 {
            var bits = bunched(i).pointee.load(ordering: .sequentiallyConsistent)
            while bits != 0 {
                if !visitReserved(by: i * 64 + bits.trailingZeroBitCount, body) { return }
                bits &= bits - 1
            }
        }
    }

    /// The last entries first: its worker comes from the other end.
    private func visitReserved(by worker: Int, _ body: (QueueEntry) -> Bool) -> Bool {
        let progress = RecordProgress(rawValue: progress(worker).pointee.load(ordering: .sequentiallyConsistent))
        for i in progress.untried.reversed() {
            if !body(QueueEntry(rawValue: record(worker)[i].load(ordering: .acquiring))) { return false }
        }
        return true
    }

    // MARK: Calling workers

    /// Sees to it that somebody takes a task that is there: wakes a sleeping worker that has announced itself, unless another is awake and looking, who then calls the
    /// next if there is more.
    @inline(__always)
    func callWorker() {
        for i in 0..<(workers + 63) / 64 where searchers(i).pointee.load(ordering: .sequentiallyConsistent) != 0 { return }
        for i in 0..<(workers + 63) / 64 where sleepers(i).pointee.load(ordering: .sequentiallyConsistent) != 0 {
            if wakeSleeper(i) { return }
        }
    }

    /// How long after a worker was woken another one is not. A wake-up takes about as long as this; tasks may take much less, and each of them would wake a worker
    /// in vain.
    private static let callPause: UInt64 = 50_000
    /// How long a call may be put off.
    static let longestDeferral = Duration.milliseconds(1)

    /// The same, but while a worker is awake not more often than ``callPause`` allows: then, the supervisor sees to it that the task is not forgotten.
    /// - Parameter lastCall: when the caller last woke one.
    @inline(__always)
    func callWorkerSparingly(_ lastCall: inout UInt64) {
        var asleep = 0
        for i in 0..<(workers + 63) / 64 {
            if searchers(i).pointee.load(ordering: .sequentiallyConsistent) != 0 { return }
            asleep += sleepers(i).pointee.load(ordering: .sequentiallyConsistent).nonzeroBitCount
        }
        if asleep > 0 { callSleeper(&lastCall, isAnyAwake: asleep < workers) }
    }

    @inline(never)
    private func callSleeper(_ lastCall: inout UInt64, isAnyAwake: Bool) {
        let now = monotonicNow()
        if isAnyAwake, now &- lastCall < Self.callPause { return deferCall() }
        lastCall = now
        for i in 0..<(workers + 63) / 64 where wakeSleeper(i) { return }
    }

    private func deferCall() {
        guard deferredCall.pointee.load(ordering: .sequentiallyConsistent) == 0,
            deferredCall.pointee.exchange(1, ordering: .sequentiallyConsistent) == 0
        else { return }
        callSupervisor()
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

    /// After the death of `dead`: has everybody look who may not have heard of something from it. It may have been about to wake one worker, having taken
    /// that one's bit, and have tasks in its record; or publishers, having taken their announcement.
    func recall(after dead: Int) {
        set(dead, false, in: searchers(dead / 64))
        set(dead, false, in: sleepers(dead / 64))
        // It may have died before it said that it has reserved several. Its successor takes the bit back when it has gone through them.
        set(dead, true, in: bunched(dead / 64))
        callAllWorkers()
        wakeAllPublishers()
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
        called(worker).pointee.store(0, ordering: .sequentiallyConsistent)
        set(worker, true, in: sleepers(worker / 64))
        if !isNeeded() { called(worker).wait(while: 0) }
        set(worker, false, in: sleepers(worker / 64))
    }

    /// Says that a worker is awake and looks for work, or does so no more: then it looks once more before it sleeps.
    func setSearching(_ worker: Int, _ isSearching: Bool) { set(worker, isSearching, in: searchers(worker / 64)) }

    private func set(_ worker: Int, _ isSet: Bool, in word: UnsafeMutablePointer<Atomic<UInt64>>) {
        let bit = UInt64(1) << UInt64(worker % 64)
        if isSet {
            word.pointee.bitwiseOr(bit, ordering: .sequentiallyConsistent)
        } else {
            word.pointee.bitwiseAnd(~bit, ordering: .sequentiallyConsistent)
        }
    }

    /// Has a worker that sleeps look around: the host has taken a result whose shared objects it still holds.
    func nudge(_ worker: Int) {
        // This look comes after the slot has been freed.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        guard worker >= 0, sleepers(worker / 64).pointee.load(ordering: .sequentiallyConsistent) & 1 << UInt64(worker % 64) != 0 else {
            return
        }
        called(worker).pointee.store(1, ordering: .sequentiallyConsistent)
        called(worker).wake()
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

    /// Says that a thread is about to wait for the queue to become short. Returns what it then sleeps on while it is.
    func announcePublisher() -> UInt32 {
        // In this order: who takes the announcement changes the word afterwards.
        let seen = space.pointee.load(ordering: .sequentiallyConsistent)
        publishersWaiting.pointee.store(1, ordering: .sequentiallyConsistent)
        return seen
    }

    /// Tells publishers that wait, after the queue has become shorter or a task has ended, unless there is still enough for workers to do.
    @inline(__always)
    func announceProgress() {
        if publishersWaiting.pointee.load(ordering: .sequentiallyConsistent) != 0, queueLength <= callBelow { wakePublishers() }
    }

    /// Has publishers that wait look again. The announcement is taken: a system call for each of the tasks that end until they run would be too much.
    @inline(never)
    func wakePublishers() {
        guard publishersWaiting.pointee.load(ordering: .sequentiallyConsistent) != 0,
            publishersWaiting.pointee.exchange(0, ordering: .sequentiallyConsistent) != 0
        else { return }
        wakeAllPublishers()
    }

    private func wakeAllPublishers() {
        space.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        space.wakeAll()
    }
}

/// A task that a worker has taken, and its word since.
struct ClaimedTask: BitwiseCopyable {
    let slot: Int
    let word: SlotWord
}

/// What the queue says of a task: where it is, in which use of its slot, and whether it may be reserved together with others.
struct QueueEntry: BitwiseCopyable {
    let rawValue: UInt64
    private static let bunchable: UInt64 = 1 << 31

    init(rawValue: UInt64) { self.rawValue = rawValue }
    init(slot: Int, use: UInt32, isBunchable: Bool) {
        rawValue = UInt64(slot) | (isBunchable ? Self.bunchable : 0) | UInt64(use) << 32
    }

    var slot: Int { Int(rawValue & 0x7fff_ffff) }
    var use: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
    var isBunchable: Bool { rawValue & Self.bunchable != 0 }
}
