import CMultiprocessing
import Glibc
import Synchronization
import SystemLayer

/// What is written about a taking that waited, and about one in 64 of the others. All by the lock's owner, but for the last two.
extension LockRecorder {
    // MARK: Words

    private func word(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    private func word32(_ offset: Int) -> FutexWord { (base + offset).assumingMemoryBound(to: Atomic<UInt32>.self) }

    private func load(_ offset: Int) -> UInt64 { word(offset).pointee.load(ordering: .relaxed) }
    private func store(_ value: UInt64, _ offset: Int) { word(offset).pointee.store(value, ordering: .relaxed) }
    private func load32(_ offset: Int) -> UInt32 { word32(offset).pointee.load(ordering: .relaxed) }
    private func store32(_ value: UInt32, _ offset: Int) { word32(offset).pointee.store(value, ordering: .relaxed) }

    private func add(_ value: UInt64, _ offset: Int) { store(load(offset) &+ value, offset) }
    private func raise(_ offset: Int, to value: UInt64) { if load(offset) < value { store(value, offset) } }

    private func ownerWord32(_ offset: Int) -> FutexWord { owner + offset / 4 }
    private func ownerWord(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        UnsafeMutableRawPointer(owner + offset / 4).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    private func addToOwner(_ offset: Int) {
        ownerWord(offset).pointee.store(ownerWord(offset).pointee.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }

    private func entryOffset(_ index: Int) -> Int { LockLayout.entries + index * LockLayout.entrySize }
    private var ownEntry: Int { LockLayout.entries + Int(mp_profile_entry()) }
    private var ownIndex: Int { Int(mp_profile_entry()) / LockLayout.entrySize }

    /// Ticks of the profile's clock.
    var now: UInt64 { mp_ticks(load32(LockLayout.clock)) }

    // MARK: Its beginning

    /// Of a profile that is all zeros.
    func begin(at site: CallSite) {
        store32(mp_ticks_clock(), LockLayout.clock)
        store32(UInt32(truncatingIfNeeded: site.line), LockLayout.line)
        store(UInt64(site.write(to: base + LockLayout.file, atMost: LockLayout.longestFile)), LockLayout.fileLength)
        store(now, LockLayout.beganTicks)
        store(monotonicNow(), LockLayout.beganNanoseconds)
    }

    // MARK: Takings

    /// After ``count(_:)`` has said so.
    func note(_ token: UInt32, _ site: CallSite, _ sites: CallSiteCache?, in arena: Arena) {
        if ownerWord32(LockLayout.Owner.last).pointee.load(ordering: .relaxed) != token { noteOwner(token, in: arena) }
        if isSampleDue { time(index(of: site, sites), waited: false) }
    }

    /// A taking that was no success at once.
    func noteSlow(
        _ token: UInt32, wait: UInt64?, sleeps: Int, fromDead: Bool, _ site: CallSite, _ sites: CallSiteCache?, in arena: Arena
    ) {
        let bucket = wait.map { LockLayout.waits + DurationBuckets.index(of: $0) * 8 }
        // On another processor until now, all of them: they come at the same time.
        if let bucket { prefetch(base + bucket) }
        prefetch(base + LockLayout.times)
        if fromDead { noteDeath() }
        if count(token), ownerWord32(LockLayout.Owner.last).pointee.load(ordering: .relaxed) != token { noteOwner(token, in: arena) }
        guard let wait, let bucket else {
            if isSampleDue { time(index(of: site, sites), waited: false) }
            return
        }
        let place = index(of: site, sites)
        let entry = ownEntry
        add(1, entry + LockLayout.Entry.contended)
        add(wait, entry + LockLayout.Entry.waited)
        if sleeps > 0 { add(1, entry + LockLayout.Entry.slept) }
        add(1, bucket)
        raise(LockLayout.times + LockLayout.Times.longestWait, to: wait)
        add(1, siteOffset(place) + LockLayout.Site.waits)
        add(wait, siteOffset(place) + LockLayout.Site.waited)
        time(place, waited: true)
    }

    /// The dead owner's hold goes untimed, lest the next one be taken for it.
    private func noteDeath() {
        ownerWord(LockLayout.Owner.holdStart).pointee.store(0, ordering: .relaxed)
        addToOwner(LockLayout.Owner.deaths)
    }

    private func noteOwner(_ token: UInt32, in arena: Arena) {
        let identity = CurrentProcess.identity(in: arena)
        let entry = ownEntry
        // The last entry is that of many processes, and stays nobody's.
        let bits = ownIndex == LockLayout.entryCount - 1 ? UInt32.max : identity.bits
        finishMoving()
        if load32(entry + LockLayout.Entry.identity) != bits {
            if load32(entry + LockLayout.Entry.identity) != 0 { move(entry: ownIndex) }
            store32(bits == .max ? 0 : UInt32(bitPattern: getpid()), entry + LockLayout.Entry.pid)
            store32(bits, entry + LockLayout.Entry.identity)
        }
        // The first owner takes it from nobody.
        if ownerWord32(LockLayout.Owner.last).pointee.load(ordering: .relaxed) != 0 { addToOwner(LockLayout.Owner.changes) }
        ownerWord32(LockLayout.Owner.last).pointee.store(token, ordering: .relaxed)
    }

    // MARK: Processes that have ended

    /// Adds what stands in an entry whose process has ended to what all such have done, and clears it but for this taking. Once the sums are written down this
    /// can be repeated, so that after a death the next owner completes it: nothing is lost or counted twice.
    private func move(entry index: Int) {
        let (entry, ended) = (entryOffset(index), LockLayout.ended)
        let next = ended + LockLayout.Ended.next
        // The one that has just been counted is the new process's.
        store(load(ended) &+ load(entry) &- 1, next)
        store(load(ended + 8) &+ load(entry + LockLayout.Entry.contended), next + 8)
        store(load(ended + 16) &+ load(entry + LockLayout.Entry.waited), next + 16)
        store(load(ended + 24) &+ load(entry + LockLayout.Entry.slept), next + 24)
        store(load(ended + 32) &+ 1, next + 32)
        word(ended + LockLayout.Ended.moving).pointee.store(UInt64(index) + 1, ordering: .releasing)
        finishMoving()
        store(1, entry)
    }

    private func finishMoving() {
        let ended = LockLayout.ended
        let moving = load(ended + LockLayout.Ended.moving)
        guard moving > 0, moving <= UInt64(LockLayout.entryCount) else { return }
        for i in 0..<5 { store(load(ended + LockLayout.Ended.next + i * 8), ended + i * 8) }
        let entry = entryOffset(Int(moving) - 1)
        for i in 0..<LockLayout.entrySize / 8 { store(0, entry + i * 8) }
        word(ended + LockLayout.Ended.moving).pointee.store(0, ordering: .releasing)
    }

    // MARK: Holds

    private var isSampleDue: Bool { load(ownEntry) >= load(ownEntry + LockLayout.Entry.nextSample) }

    /// Begins to time a hold.
    private func time(_ site: Int, waited: Bool) {
        let entry = ownEntry
        if isSampleDue {
            // Marsaglia's xorshift (2003), from the identity, which is not 0. Samples that came at equal distances would always meet the same of several
            // sections that take turns.
            let last = load32(entry + LockLayout.Entry.random)
            var random = last == 0 ? load32(entry + LockLayout.Entry.identity) | 1 : last
            random ^= random << 13
            random ^= random >> 17
            random ^= random << 5
            store32(random, entry + LockLayout.Entry.random)
            store(load(entry) &+ Self.gap(random, after: load(entry)), entry + LockLayout.Entry.nextSample)
        }
        // All that wait are timed, so each of them stands for itself; and another for all others since one was timed.
        var stands: UInt32 = 1
        if !waited {
            let others = load(entry) &- load(entry + LockLayout.Entry.contended)
            let represented = load(entry + LockLayout.Entry.represented)
            stands = UInt32(min(max(others, represented) - represented, 0xffff))
            store(represented &+ UInt64(stands), entry + LockLayout.Entry.represented)
        }
        ownerWord32(LockLayout.Owner.hold).pointee.store(UInt32(site) | stands << 16, ordering: .relaxed)
        ownerWord(LockLayout.Owner.holdStart).pointee.store(max(now, 1), ordering: .relaxed)
    }

    /// From 32 to 96, 64 on average; of a process's first 512 takings an eighth of how many there were, so that one that takes the lock a few times is not judged by
    /// its first, which is rarely like the others.
    private static func gap(_ random: UInt32, after count: UInt64) -> UInt64 {
        let mean = min(count / 8, 64)
        return max(mean / 2 + UInt64(random) % (mean + 1), 1)
    }

    /// Before the lock at `address` is released, when ``isTiming``.
    func noteHold(of address: UnsafeRawPointer) {
        let (start, end) = (ownerWord(LockLayout.Owner.holdStart).pointee.load(ordering: .relaxed), now)
        ownerWord(LockLayout.Owner.holdStart).pointee.store(0, ordering: .relaxed)
        // Clocks of two processors may differ by a little.
        let length = end > start ? end - start : 0
        let hold = ownerWord32(LockLayout.Owner.hold).pointee.load(ordering: .relaxed)
        let (site, stands) = (siteOffset(Int(hold & 0xff)), UInt64(hold >> 16))
        let times = LockLayout.times
        add(1, times + LockLayout.Times.samples)
        raise(times + LockLayout.Times.longestHold, to: length)
        // Lengths and numbers alike: what stands for many does so in the histogram and in the sum.
        add(stands, LockLayout.holds + DurationBuckets.index(of: length) * 8)
        add(stands, site + LockLayout.Site.holds)
        add(stands &* length, site + LockLayout.Site.held)
        if mp_probe_wants_released() { mp_probe_lock_released(address, UInt64(Double(length) * nanosecondsPerTick)) }
    }

    private var nanosecondsPerTick: Double {
        let ticks = now &- load(LockLayout.beganTicks)
        return ticks == 0 ? 1 : Double(monotonicNow() &- load(LockLayout.beganNanoseconds)) / Double(ticks)
    }

    // MARK: Call sites

    private func siteOffset(_ index: Int) -> Int { LockLayout.sites + index * LockLayout.siteSize }

    /// The place of a call site in the profile, which it is given at its first use; 0, that of all others, when there is none left.
    private func index(of site: CallSite, _ cache: CallSiteCache?) -> Int {
        if let known = cache?.index(of: site) { return known }
        let key = site.key
        var index = 0
        for step in 0..<LockLayout.siteCount - 1 {
            let candidate = 1 + Int((key &+ UInt64(step)) % UInt64(LockLayout.siteCount - 1))
            let offset = siteOffset(candidate)
            let found = load(offset)
            if found == 0 {
                store32(UInt32(truncatingIfNeeded: site.line), offset + LockLayout.Site.line)
                let length = site.write(to: base + offset + LockLayout.Site.file, atMost: LockLayout.longestFile)
                store32(UInt32(length), offset + LockLayout.Site.fileLength)
                // Last, so that whoever sees it sees the rest, and a death before it leaves the place free.
                word(offset).pointee.store(key, ordering: .releasing)
            }
            if found == 0 || found == key {
                index = candidate
                break
            }
        }
        cache?.remember(index, of: site)
        return index
    }

    // MARK: By who does not hold the lock

    /// A wait that was given up. One addition each, which a death does not cut in two.
    func noteGivenUp(after ticks: UInt64) {
        word(LockLayout.waker + LockLayout.Waker.givenUp).pointee.wrappingAdd(1, ordering: .relaxed)
        word(LockLayout.waker + LockLayout.Waker.givenUpTicks).pointee.wrappingAdd(ticks, ordering: .relaxed)
    }

    func noteWake() { word(LockLayout.waker + LockLayout.Waker.wakes).pointee.wrappingAdd(1, ordering: .relaxed) }
}
