import CMultiprocessing
import SystemLayer

/// A copy of a lock's object, read as a profile. The bytes may be anything: what they cannot be is cut to size, and nothing of them is followed unchecked.
struct LockSnapshot {
    /// The object from its beginning, behind the block's header.
    let words: [UInt64]
    let kind: LockKind
    let isProfiled: Bool

    /// Which locks' objects an element size stands for; nil for no lock's.
    init?(words: [UInt64], code: UInt32) {
        guard code < 8, let kind = LockKind.allCases.first(where: { $0.code == Int(code & 3) }) else { return nil }
        isProfiled = code & 4 != 0
        self.kind = kind
        self.words = words
        guard words.count * 8 >= LockLayout.name(isProfiled: isProfiled) else { return nil }
    }

    static func size(isProfiled: Bool) -> Int { LockLayout.name(isProfiled: isProfiled) + LockLayout.longestName }

    /// Numbers beyond what can have happened are cut off, so that sums of them do not overflow.
    private func count(_ offset: Int) -> Int { Int(word(offset) & 0x7f_ffff_ffff_ffff) }

    private func word(_ offset: Int) -> UInt64 { offset >= 0 && offset / 8 < words.count ? words[offset / 8] : 0 }
    private func word32(_ offset: Int) -> UInt32 { UInt32(truncatingIfNeeded: word(offset & ~7) >> (offset % 8 == 0 ? 0 : 32)) }

    private func text(_ offset: Int, length: Int, atMost limit: Int) -> String {
        let places = offset..<offset + min(max(length, 0), limit)
        return String(decoding: places.map { UInt8(truncatingIfNeeded: word($0 & ~7) >> UInt64($0 % 8 * 8)) }, as: UTF8.self)
    }

    // MARK: The lock

    var name: String {
        let length = Int(word32(LockLayout.nameLength))
        return length == 0 ? "a SharedLock" : text(LockLayout.name(isProfiled: isProfiled), length: length, atMost: LockLayout.longestName)
    }

    /// Who holds it.
    var token: UInt32 { word32(kind == .adaptive ? LockLayout.lock : LockLayout.owner) & ThreadRecords.tokenMask }

    /// Changes when another thread takes the lock: between two copies with the same, no processes have changed places.
    var changes: UInt64 { isProfiled ? word(owner + LockLayout.Owner.changes) : 0 }

    /// When profiling began, in ns of the monotonic clock.
    var began: UInt64 { isProfiled ? word(inProfile(LockLayout.beganNanoseconds)) : 0 }

    private var owner: Int {
        kind == .adaptive ? LockLayout.lock + OwnerLock.size : LockLayout.rest + LockLayout.ownerLine
    }

    // MARK: The profile

    private func inProfile(_ offset: Int) -> Int { LockLayout.rest + offset }

    /// - Parameters:
    ///   - now: this moment, in ticks of the clock that is asked for and in nanoseconds.
    ///   - isAtWork: whether a process of such an identity runs, and has something to do.
    func profile(now: (UInt32) -> (ticks: UInt64, nanoseconds: UInt64), isAtWork: (UInt32) -> Bool) -> LockProfile {
        var profile = LockProfile(name: name, kind: kind, isProfiled: isProfiled)
        guard isProfiled else { return profile }
        let (ticks, nanoseconds) = now(word32(inProfile(LockLayout.clock)))
        let age = Double(nanoseconds) - Double(word(inProfile(LockLayout.beganNanoseconds)))
        let ageTicks = Double(ticks) - Double(word(inProfile(LockLayout.beganTicks)))
        let rate = age > 0 && ageTicks > 0 ? age / ageTicks : 1
        profile.age = .nanoseconds(age)
        profile.created = LockProfile.CallSite(
            file: text(inProfile(LockLayout.file), length: count(inProfile(LockLayout.fileLength)), atMost: LockLayout.longestFile),
            line: Int(word32(inProfile(LockLayout.line))))
        readProcesses(&profile, rate: rate, isAtWork: isAtWork)
        profile.ownerChanges = count(owner + LockLayout.Owner.changes)
        profile.ownerDeaths = count(owner + LockLayout.Owner.deaths)
        readTimes(&profile, rate: rate)
        readSites(&profile, rate: rate)
        return profile
    }

    private func readProcesses(_ profile: inout LockProfile, rate: Double, isAtWork: (UInt32) -> Bool) {
        var slept = 0
        let ended = inProfile(LockLayout.ended)
        // What is being moved is taken from where it goes.
        let moving = word(ended + LockLayout.Ended.moving)
        let sums = ended + (moving == 0 ? 0 : LockLayout.Ended.next)
        var shares: [(pid: Int32, count: Int, ended: Bool, acquisitions: Int, contended: Int, waited: UInt64)] = []
        for index in 0..<LockLayout.entryCount {
            let entry = inProfile(LockLayout.entries + index * LockLayout.entrySize)
            let acquisitions = count(entry + LockLayout.Entry.acquisitions)
            guard acquisitions > 0, UInt64(index) + 1 != moving else { continue }
            slept += count(entry + LockLayout.Entry.slept)
            let identity = word32(entry + LockLayout.Entry.identity)
            shares.append(
                (
                    Int32(truncatingIfNeeded: word32(entry + LockLayout.Entry.pid)), 1, identity != .max && !isAtWork(identity),
                    acquisitions,
                    count(entry + LockLayout.Entry.contended), word(entry + LockLayout.Entry.waited)
                ))
        }
        if count(sums + LockLayout.Ended.processes) > 0 {
            slept += count(sums + LockLayout.Ended.slept)
            shares.append(
                (
                    0, min(count(sums + LockLayout.Ended.processes), 1 << 40), true, count(sums + LockLayout.Ended.acquisitions),
                    count(sums + LockLayout.Ended.contended), word(sums + LockLayout.Ended.waited)
                ))
        }
        profile.acquisitions = shares.reduce(0) { $0 + $1.acquisitions }
        profile.contended = shares.reduce(0) { $0 + $1.contended }
        let all = Double(max(profile.acquisitions, 1))
        profile.processes = shares.sorted { $0.acquisitions > $1.acquisitions }.map {
            LockProfile.ProcessShare(
                processIdentifier: $0.pid, count: $0.count, hasEnded: $0.ended, acquisitions: $0.acquisitions,
                share: Double($0.acquisitions) / all, contended: $0.contended, waited: .nanoseconds(Double($0.waited) * rate))
        }
        profile.wait.total = .nanoseconds(shares.reduce(0) { $0 + Double($1.waited) } * rate)
        let waker = inProfile(LockLayout.waker)
        profile.timeouts = count(waker + LockLayout.Waker.givenUp)
        profile.waitedInVain = .nanoseconds(Double(word(waker + LockLayout.Waker.givenUpTicks)) * rate)
        guard kind == .adaptive else { return }
        profile.slept = slept
        profile.spun = max(profile.contended - slept, 0)
        profile.wakes = count(waker + LockLayout.Waker.wakes)
    }

    private func readTimes(_ profile: inout LockProfile, rate: Double) {
        let times = inProfile(LockLayout.times)
        profile.wait.count = profile.contended
        profile.wait.samples = profile.contended
        fill(&profile.wait, LockLayout.waits, longest: word(times + LockLayout.Times.longestWait), rate)
        profile.hold.count = profile.acquisitions
        profile.hold.samples = count(times + LockLayout.Times.samples)
        // Each that was timed is in its site's sum as often as in the histogram.
        let held = (0..<LockLayout.siteCount).map {
            Double(word(inProfile(LockLayout.sites + $0 * LockLayout.siteSize + LockLayout.Site.held)))
        }
        profile.hold.total = .nanoseconds(held.reduce(0, +) * rate)
        fill(&profile.hold, LockLayout.holds, longest: word(times + LockLayout.Times.longestHold), rate)
    }

    private func fill(_ times: inout LockProfile.Times, _ offset: Int, longest: UInt64, _ rate: Double) {
        let start = inProfile(offset) / 8
        guard start + DurationBuckets.count <= words.count else { return }
        let counts = words[start..<start + DurationBuckets.count]
        times.max = .nanoseconds(Double(longest) * rate)
        func quantile(_ share: Double) -> Duration {
            // The middle of the last bucket may be beyond the longest.
            .nanoseconds(min(DurationBuckets.quantile(share, of: counts) ?? 0, Double(longest)) * rate)
        }
        (times.p50, times.p99, times.p999) = (quantile(0.5), quantile(0.99), quantile(0.999))
        times.histogram = counts.enumerated().compactMap { index, number in
            guard number > 0 else { return nil }
            return LockProfile.Bucket(
                start: .nanoseconds(Double(DurationBuckets.lowerBound(index)) * rate),
                end: .nanoseconds(Double(DurationBuckets.lowerBound(index + 1)) * rate), count: Int(number & 0x7f_ffff_ffff_ffff))
        }
    }

    private func readSites(_ profile: inout LockProfile, rate: Double) {
        for index in 0..<LockLayout.siteCount {
            let offset = inProfile(LockLayout.sites + index * LockLayout.siteSize)
            guard index == 0 || word(offset + LockLayout.Site.key) != 0 else { continue }
            let length = Int(word32(offset + LockLayout.Site.fileLength))
            let site =
                index == 0
                ? LockProfile.CallSite(file: "elsewhere", line: 0)
                : LockProfile.CallSite(
                    file: text(offset + LockLayout.Site.file, length: length, atMost: LockLayout.longestFile),
                    line: Int(word32(offset + LockLayout.Site.line)))
            func times(_ number: Int, _ total: Int) -> LockProfile.SiteTimes? {
                let number = count(offset + number)
                guard number > 0 else { return nil }
                return LockProfile.SiteTimes(site: site, count: number, total: .nanoseconds(Double(word(offset + total)) * rate))
            }
            if let waiting = times(LockLayout.Site.waits, LockLayout.Site.waited) { profile.waitingSites.append(waiting) }
            if let holding = times(LockLayout.Site.holds, LockLayout.Site.held) { profile.holdingSites.append(holding) }
        }
        profile.waitingSites.sort { $0.total > $1.total }
        profile.holdingSites.sort { $0.total > $1.total }
    }
}
