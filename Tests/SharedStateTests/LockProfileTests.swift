import Glibc
import Synchronization
import SystemLayer
import TestSupport
import Testing

@testable import SharedState

/// What a lock's profile says, between threads of one process.
@Suite(.serialized, .watchdog(seconds: 120)) struct LockProfileTests {
    @Test func theLayoutFits() {
        #expect(LockLayout.sites + LockLayout.siteCount * LockLayout.siteSize == LockLayout.size)
        #expect(LockLayout.entries >= LockLayout.waker + 24 && LockLayout.entries % 64 == 0)
        #expect(LockLayout.file + LockLayout.longestFile <= LockLayout.ownerLine)
        #expect(LockLayout.ended + LockLayout.Ended.moving + 8 <= LockLayout.waker)
        #expect(LockLayout.Site.file + LockLayout.longestFile <= LockLayout.siteSize)
        #expect(LockLayout.lock + OwnerLock.size + LockLayout.Owner.size <= LockLayout.rest)
        // As inlined code finds it.
        #expect(LockLayout.lock + ProcessSharedMutex.size <= LockLayout.owner && LockLayout.owner + 4 <= LockLayout.rest)
        #expect(LockLayout.rest - LockLayout.lock == 64 && OwnerLock.size == 8)
        // One size class for all, which `ArenaReader` relies on to be quick, and no large block.
        #expect(ObjectBlock.payload + LockSnapshot.size(isProfiled: true) <= 32640)
    }

    @Test(arguments: LockKind.allCases) func countsAreExactBetweenThreads(kind: LockKind) throws {
        let lock = try SharedLock(name: "counted", kind: kind, profiling: true)
        try onThreads(8) { _ in for _ in 0..<2_000 { try lock.withLock {} } }
        let profile = lock.profile
        #expect(profile.isProfiled)
        #expect((profile.name, profile.kind) == ("counted", kind))
        #expect(profile.acquisitions == 16_000)
        #expect(profile.ownerChanges >= 7 && profile.ownerChanges < 16_000)
        #expect(profile.contended <= 16_000)
        #expect(profile.wait.count == profile.contended)
        #expect(profile.wait.histogram.reduce(0) { $0 + $1.count } == profile.contended)
        #expect(profile.waitingSites.reduce(0) { $0 + $1.count } == profile.contended)
        #expect((profile.processes.map(\.processIdentifier), profile.processes.map(\.acquisitions)) == ([getpid()], [16_000]))
        #expect(profile.hold.count == 16_000)
        // One in 64, more of the first 512, and all that waited.
        #expect(profile.hold.samples >= profile.contended + (16_000 - profile.contended) / 96 - 8)
        #expect(profile.hold.samples <= profile.contended + 16_000 / 32 + 72)
        #expect(profile.hold.max <= profile.age)
        #expect(profile.ownerDeaths == 0)
        let knows = kind == .adaptive
        #expect((profile.spun != nil, profile.slept != nil, profile.wakes != nil) == (knows, knows, knows))
        if let spun = profile.spun, let slept = profile.slept { #expect(spun + slept == profile.contended) }
    }

    @Test(arguments: LockKind.allCases) func aLockWithoutHasNone(kind: LockKind) throws {
        let lock = try SharedLock(name: "a plain one", kind: kind)
        try lock.withLock {}
        let profile = lock.profile
        #expect(!profile.isProfiled)
        #expect((profile.name, profile.kind, profile.acquisitions) == ("a plain one", kind, 0))
        #expect(!LockProfile.all().contains { $0.name == "a plain one" })
    }

    @Test func aSleeperIsCounted() throws {
        let lock = try SharedLock(profiling: true)
        let adaptive = try #require(lock.adaptive)
        try lock.lock()
        try onThreads(1) { _ in
            try lock.withLock {}
        } meanwhile: {
            // It is about to sleep, or does.
            #expect(eventually { adaptive.announcement.pointee.load(ordering: .acquiring) == 1 && lock.isAsleep })
            try lock.unlock()
        }
        let profile = lock.profile
        #expect((profile.acquisitions, profile.contended, profile.slept, profile.spun) == (2, 1, 1, 0))
        #expect((profile.wakes ?? 0) >= 1)
        #expect(profile.ownerChanges == 1)
        #expect(profile.wait.total > .zero && profile.wait.max == profile.wait.total)
        #expect(profile.contendedShare == 0.5)
        #expect(profile.timeLost == profile.wait.total && profile.timeLostShare > 0)
    }

    /// As a thread that waits, with the line that it waits in.
    @Test func aTaskThatWaitsIsCounted() async throws {
        let lock = try SharedLock(profiling: true)
        let adaptive = try #require(lock.adaptive)
        let shared = SendableWord(word: FutexWord.makeFutexWord())
        defer { shared.word.deallocate() }
        try startThread(name: "test") {
            try? lock.lock()
            shared.word.pointee.store(1, ordering: .releasing)
            _ = eventually { adaptive.announcement.pointee.load(ordering: .acquiring) == 1 && lock.isAsleep }
            try? lock.unlock()
        }
        #expect(eventually { shared.word.pointee.load(ordering: .acquiring) == 1 })
        let line = #line + 1
        try await lock.async.withLock {}
        let profile = lock.profile
        #expect((profile.acquisitions, profile.contended, profile.slept, profile.timeouts) == (2, 1, 1, 0))
        #expect(profile.wait.total > .zero && profile.timeLost == profile.wait.total)
        #expect(profile.waitingSites.map(\.site.description) == ["\(#fileID):\(line)"])
        #expect(profile.holdingSites.contains { $0.site.line == line })
    }

    @Test(arguments: LockKind.allCases) func timeoutsAreCounted(kind: LockKind) throws {
        let lock = try SharedLock(kind: kind, profiling: true)
        try lock.lock()
        #expect(lock.profile.heldBy == getpid())
        try onThreads(1) { _ in
            try #expect(!lock.lock(timeout: .milliseconds(5)))
            try #expect(!lock.tryLock(), "which does not wait")
        }
        try lock.unlock()
        let profile = lock.profile
        #expect((profile.acquisitions, profile.timeouts, profile.contended) == (1, 1, 0))
        // By another clock than the wait itself.
        #expect(profile.waitedInVain > .milliseconds(4))
        #expect(profile.timeLost == profile.waitedInVain)
        #expect(profile.heldBy == nil)
    }

    @Test func aDeadOwnerIsCountedAndItsHoldIsNot() throws {
        for kind in [LockKind.adaptive, .pthreadRobust] {
            let lock = try SharedLock(kind: kind, profiling: true)
            // The first hold of a process is always timed, and this one never ends.
            try onThreads(1) { _ in try lock.lock() }
            #expect(throws: OwnerDied.self) { try lock.lock() }
            try lock.unlock()
            let profile = lock.profile
            #expect((profile.ownerDeaths, profile.acquisitions) == (1, 2))
            // The second hold is timed as well, and is not taken for the first one's.
            #expect(profile.hold.samples == 1, "\(kind)")
            #expect(profile.hold.histogram.map(\.count) == [1] && profile.holdingSites.map(\.count) == [1])
        }
    }

    @Test func callSitesAreTold() throws {
        let made = #line + 1
        let lock = try SharedLock(profiling: true)
        let locked = #line + 1
        try lock.lock()
        try lock.unlock()
        let profile = lock.profile
        #expect(profile.created.description == "\(#fileID):\(made)")
        #expect(profile.holdingSites.map(\.site.description) == ["\(#fileID):\(locked)"])
        try lock.withLock {}
        #expect(try lock.tryLock())
        try lock.unlock()
    }

    @Test func whatFindsNoPlaceIsElsewhere() throws {
        let lock = try SharedLock(profiling: true)
        // So many takings of each line that each is sampled.
        for line: UInt in 1...100 {
            for _ in 0..<200 { try lock.withLock({}, fileID: "Somewhere/File.swift", line: line) }
        }
        let profile = lock.profile
        #expect(profile.holdingSites.count == 64)
        #expect(profile.holdingSites.count { $0.site.file == "elsewhere" } == 1)
        // Samples stand for what was between them: together for all but what came after the last.
        let all = profile.holdingSites.reduce(0) { $0 + $1.count }
        #expect(all > 20_000 - 97 && all <= 20_000)
        #expect(profile.hold.histogram.reduce(0) { $0 + $1.count } == all)
    }

    // MARK: How long holds were

    /// The first hold of a process is seldom like the others, and timed: it stands for itself, not for them.
    @Test(arguments: [2, 20, 60, 200, 20_000]) func aLongFirstHoldCountsOnce(number: Int) throws {
        let lock = try SharedLock(profiling: true)
        try lock.hold(for: Self.long)
        for _ in 1..<number { try lock.hold(for: Self.long / 1000) }
        let (profile, rate) = (lock.profile, try lock.nanosecondsPerTick)
        // Of the last ones it may not know yet.
        let truth = Double(Self.long) * (1 + Double(number - 1) / 1000) * rate
        #expect((0.7...1.4).contains(profile.hold.total / .nanoseconds(1) / truth), "\(profile.hold)")
        #expect((0.7...1.4).contains(profile.hold.max / .nanoseconds(1) / (Double(Self.long) * rate)))
        expectConsistent(profile)
    }

    /// Holds that waited, that did not, and from two lines, each of another length.
    @Test(arguments: [2, 10]) func holdsAreWeighedByHowManyTheyStandFor(oneWaitsIn period: Int) throws {
        let lock = try SharedLock(profiling: true)
        var (truth, waited) = (0.0, 0)
        for turn in 0..<20_000 {
            let waits = turn % period == 0
            let length: UInt64 = waits ? 4_000_000 : turn % 3 == 0 ? 2_000_000 : 1_000_000
            truth += Double(length)
            waited += waits ? 1 : 0
            try lock.hold(for: length, waited: waits, line: waits ? 4 : turn % 3 == 0 ? 2 : 1)
        }
        let (profile, rate) = (lock.profile, try lock.nanosecondsPerTick)
        #expect(profile.contended == waited)
        #expect((0.7...1.4).contains(profile.hold.total / .nanoseconds(1) / (truth * rate)), "\(profile.hold)")
        for site in profile.holdingSites {
            let mean = site.total / .nanoseconds(1) / Double(site.count) / (Double(site.site.line) * 1e6 * rate)
            #expect((0.9...1.4).contains(mean), "\(site)")
        }
        // Those that waited are all timed.
        #expect(profile.holdingSites.first { $0.site.line == 4 }?.count == waited)
        #expect(profile.hold.histogram.reduce(0) { $0 + $1.count } > 20_000 - 97)
        expectConsistent(profile)
    }

    private static let long: UInt64 = 1_000_000_000

    private func expectConsistent(_ profile: LockProfile) {
        let (hold, sites) = (profile.hold, profile.holdingSites)
        let number = hold.histogram.reduce(0) { $0 + $1.count }
        #expect(sites.reduce(0) { $0 + $1.count } == number && number <= profile.acquisitions)
        let difference = sites.reduce(Duration.zero) { $0 + $1.total } - hold.total
        #expect(abs(difference / .nanoseconds(1)) <= Double(sites.count), "each is rounded")
        let bounds = hold.histogram.reduce((least: 0.0, most: 0.0)) {
            ($0.least + Double($1.count) * ($1.start / .nanoseconds(1)), $0.most + Double($1.count) * ($1.end / .nanoseconds(1)))
        }
        let total = hold.total / .nanoseconds(1)
        #expect(total >= bounds.least * 0.999 && total <= bounds.most * 1.001, "\(total) is not of \(bounds)")
        #expect(hold.mean <= hold.max && hold.p50 <= hold.max)
        #expect(abs(hold.mean / .nanoseconds(1) * Double(number) / total - 1) < 0.001)
    }

    @Test func longNamesAreCut() throws {
        let lock = try SharedLock(name: String(repeating: "n", count: 500), profiling: true)
        #expect(lock.name == String(repeating: "n", count: 120))
        #expect(lock.profile.name == lock.name)
        try lock.withLock(
            {}, fileID: "Module/OneWithAVeryVeryVeryVeryVeryVeryVeryVeryVeryVeryVeryVeryVeryVeryVeryVeryLongName.swift", line: 7)
        #expect(lock.profile.holdingSites.first?.site.description.hasSuffix("VeryLongName.swift:7") == true)
    }

    @Test func namesDoNoHarmInATable() throws {
        let name = "a\tb\r\nc \u{1B}[31m \u{202E}d é 👩‍👩‍👧 " + String(repeating: "n", count: 60)
        let lock = try SharedLock(name: name, profiling: true)
        try lock.withLock {}
        let profile = lock.profile
        #expect(profile.name == name)
        let whole = #"a\tb\r\nc \u{1B}[31m \u{202E}d é 👩‍👩‍👧 "# + String(repeating: "n", count: 60)
        #expect(profile.printableName == whole)
        #expect(profile.shortName == String(whole.prefix(39)) + "…")
        let lines = LockProfile.report(of: [profile]).split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines[1].hasPrefix(profile.shortName + "  adaptive  "))
        #expect(lines[3].hasPrefix(whole + ", made at"))
        #expect(LockProfile.printable("1234\n", atMost: 6) == "1234\\n")
        #expect(LockProfile.printable("12345\n", atMost: 6) == "12345…")
        #expect(LockProfile.printable("1234\n5", atMost: 6) == "1234…", "no half an escape")
    }

    @Test func theReportNamesWhatThereIs() throws {
        let lock = try SharedLock(name: "the lock that is reported", profiling: true)
        for _ in 0..<1_000 { try lock.withLock {} }
        let report = LockProfile.report()
        for text in ["the lock that is reported", "adaptive", "1000", "one in 64", "samples", "\(#fileID):", "taken by: \(getpid()) 100 %"]
        {
            #expect(report.contains(text), "\(text) in \(report)")
        }
        #expect(LockProfile.report(of: []).contains("profiling: true"))
        // Sorted by what was lost.
        var few = lock.profile
        var many = few
        (few.name, few.wait.total) = ("little", .milliseconds(1))
        (many.name, many.wait.total) = ("much", .seconds(1))
        #expect(LockProfile.sorted([few, many]).map(\.name) == ["much", "little"])
    }

    @Test func aProfileIsGoneWithItsLock() throws {
        func make() throws {
            let lock = try SharedLock(name: "gone soon", profiling: true)
            try lock.withLock {}
            #expect(LockProfile.all().contains { $0.name == "gone soon" })
        }
        try make()
        #expect(!LockProfile.all().contains { $0.name == "gone soon" })
    }

    @Test func anythingCanBeRead() throws {
        let lock = try SharedLock(name: "damaged", profiling: true)
        for _ in 0..<200 { try lock.withLock {} }
        let object = lock.block.offset + ObjectBlock.payload
        let words = try #require(OwnArena(arena: lock.arena).words(LockSnapshot.size(isProfiled: true) / 8, at: object))
        var generator = SystemRandomNumberGenerator()
        for round in 0..<30 {
            var damaged = words
            for _ in 0..<(round < 15 ? 50 : words.count) {
                let number = [0, UInt64.max, 1 << 63, .random(in: 0 ... .max)].randomElement(using: &generator)
                damaged[Int.random(in: 0..<words.count, using: &generator)] = number ?? 0
            }
            for code: UInt32 in 0...8 {
                guard let snapshot = LockSnapshot(words: damaged, code: code) else { continue }
                let profile = snapshot.profile(
                    now: { _ in (.random(in: 0 ... .max), .random(in: 0 ... .max)) }, isAtWork: { $0 % 2 == 0 })
                #expect(!LockProfile.report(of: [profile, profile]).isEmpty)
            }
        }
        #expect(LockSnapshot(words: [], code: 4) == nil)
        #expect(LockSnapshot(words: words, code: 8) == nil)
    }

    /// An arena of anything: sometimes what is looked for, sometimes what cannot be.
    private struct Garbage: ArenaSource {
        let length: Int
        let found: [UInt64]

        func words(_ count: Int, at offset: Int) -> [UInt64]? {
            if offset < 0 || Int.random(in: 0..<50) == 0 { return nil }
            return (0..<count).map { _ in found.randomElement() ?? 0 }
        }
    }

    @Test(arguments: [0, 1 << 20, 1 << 30, Int.max]) func anyArenaCanBeRead(length: Int) throws {
        let sizeClass = try #require(ArenaLayout.sizeClass(for: ObjectBlock.payload + LockLayout.name(isProfiled: true)))
        let found: [UInt64] = [
            BlockWord.small(sizeClass: sizeClass).rawValue, BlockWord(.object).rawValue | UInt64(ObjectBlock.Kind.lock.rawValue) << 32, 40,
            UInt64(ObjectBlock.Kind.lock.rawValue) | 4 << 32, UInt64(ObjectBlock.Kind.lock.rawValue) | 7 << 32, 0, .max,
        ]
        for _ in 0..<20 {
            // Some granules only: it takes the debug build a while to make them up.
            let reader = ArenaReader(source: Garbage(length: length, found: found + [.random(in: 0...64)]))
            withExtendedLifetime(reader.profile(ofBlockAt: 4096, word: 8)) {}
            withExtendedLifetime(reader.profile(ofBlockAt: 0, word: 0)) {}
        }
        let few = ArenaReader(source: Garbage(length: length, found: found.filter { $0 < 1 << 20 || $0 == found[3] }))
        withExtendedLifetime(few.profiles()) {}
        let many = ArenaReader(source: Garbage(length: length, found: [.max]))
        #expect(many.profiles().isEmpty)
    }

    @Test func plainFormsRemain() throws {
        // As `signatures.swift` has them: for protocols, and as values.
        let lock: any Lockable = try SharedLock(profiling: true)
        try lock.lock()
        try lock.unlock()
        #expect(try lock.tryLock())
        try lock.unlock()
        #expect(try lock.lock(timeout: .seconds(1)))
        try lock.unlock()
        #expect(try lock.withLock { 7 } == 7)
        let release: () throws -> Void = lock.unlock
        #expect(throws: SharedMemoryError.self) { try release() }
    }
}

private protocol Lockable {
    func lock() throws
    func tryLock() throws -> Bool
    func lock(timeout: Duration) throws -> Bool
    func unlock() throws
    func withLock<R>(_ body: () throws -> R) throws -> R
    func withLock<R>(repair: () throws -> Void, _ body: () throws -> R) throws -> R
}

extension SharedLock: Lockable {
    /// Whether somebody sleeps on it: whom a wake-up would wake, and who then goes on sleeping, as the announcement still stands.
    fileprivate var isAsleep: Bool { (adaptive?.announcement.wake() ?? 0) > 0 }

    /// Takes it, and lets go so that it seems to have been held for `length` ticks of the profile's clock: longer than what the machine does to this thread meanwhile.
    fileprivate func hold(for length: UInt64, waited: Bool = false, line: UInt = 1) throws {
        guard let adaptive, let recorder else { return }
        guard adaptive.tryLock(in: arena) == .taken else { return }
        let token = ThreadRecords.currentToken(in: arena)
        recorder.noteSlow(
            token, wait: waited ? 1000 : nil, sleeps: 0, fromDead: false, CallSite("Module/File.swift", line), sites, in: arena)
        if recorder.isTiming {
            let start = UnsafeMutableRawPointer(recorder.owner + LockLayout.Owner.holdStart / 4).assumingMemoryBound(
                to: Atomic<UInt64>.self)
            start.pointee.store(recorder.now &- length, ordering: .relaxed)
        }
        try unlock()
    }

    fileprivate var nanosecondsPerTick: Double {
        get throws {
            let recorder = try #require(recorder)
            let base = recorder.base.assumingMemoryBound(to: UInt64.self)
            let (ticks, nanoseconds) = (
                recorder.now &- base[LockLayout.beganTicks / 8], monotonicNow() &- base[LockLayout.beganNanoseconds / 8]
            )
            return Double(nanoseconds) / Double(ticks)
        }
    }
}

/// Runs `body` on `count` threads, and `meanwhile` on this one; throws what any of them has thrown.
private func onThreads(
    _ count: Int, _ body: @escaping @Sendable (Int) throws -> Void, meanwhile: () throws -> Void = {}
) throws {
    let ended = FutexWord.makeFutexWord()
    defer { ended.deallocate() }
    let shared = SendableWord(word: ended)
    let failures = HostLock()
    nonisolated(unsafe) var failure: (any Error)?
    for index in 0..<count {
        try startThread(name: "test") {
            do { try body(index) } catch { failures.withLock { failure = error } }
            // Its locks are handed on when it has ended, which is after this.
            shared.word.pointee.wrappingAdd(1, ordering: .acquiringAndReleasing)
            shared.word.wakeAll()
        }
    }
    try meanwhile()
    while true {
        let now = ended.pointee.load(ordering: .acquiring)
        if now == UInt32(count) { break }
        ended.wait(while: now)
    }
    if let failure = failures.withLock({ failure }) { throw failure }
}

private struct SendableWord: @unchecked Sendable {
    let word: FutexWord
}
