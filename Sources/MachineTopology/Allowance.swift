internal import CMultiprocessing
internal import Synchronization
internal import SystemLayer

/// How much of the machine this process may use. Cheaper to read than the whole machine: some ten small files (0.1 ms),
/// whatever the machine's size.
package struct Allowance: Sendable {
    /// The ids of the processors, ascending; never empty.
    package let processors: [Int]
    /// How many processors' worth of time; nil if that is not limited.
    package let quota: Double?

    /// That of the calling thread. What its control group allows is looked up again when that was longer than a tenth of a second ago.
    package static var current: Allowance { Allowance(groups: .recent, affinity: currentAffinity(), online: nil) }

    /// How many workers can run at the same time; at least 1.
    ///
    /// Part of a processor counts as one: a worker more than the quota can feed waits a little, a processor left idle is lost.
    package var workerCount: Int {
        guard let quota, quota < Double(processors.count) else { return max(1, processors.count) }
        return max(1, Int(quota.rounded(.up)))
    }

    /// `affinity` is nil where it is not known, `online` where it need not be asked: the kernel's mask holds no others.
    init(files: SystemFiles, sources: ControlGroupSources? = nil, affinity: [Int]?, online: [Int]?) {
        let groups = GroupLimits(files: files, sources: sources ?? ControlGroupSources(files: files))
        self.init(groups: groups, affinity: affinity, online: online)
    }

    private init(groups: GroupLimits, affinity: [Int]?, online: [Int]?) {
        // Each source can only take away, and one which would leave nothing is wrong, not the others: a process that reads
        // this runs somewhere.
        let restrictions = [affinity, groups.processors, online].compactMap { $0 }
        processors =
            restrictions.reduce(nil) { allowed, restriction in
                let both = allowed.map { Set($0).intersection(restriction).sorted() } ?? restriction
                return both.isEmpty ? allowed : both
            } ?? [0]
        quota = groups.quota
    }
}

/// What the control groups of this process allow it.
private struct GroupLimits {
    /// nil where none names any.
    let processors: [Int]?
    let quota: Double?

    private static let lastLook = Mutex<(limits: GroupLimits, deadline: Deadline)?>(nil)

    /// As they are, or were a tenth of a second ago: some ten files have to be read, and pools are made one after the other.
    static var recent: GroupLimits {
        let known = lastLook.withLockIfAvailable { look in look.flatMap { $0.deadline.hasPassed ? nil : $0.limits } }
        if let known, let known { return known }
        let limits = GroupLimits(files: SystemFiles(root: "/"), sources: .current)
        // In a process forked while another thread was here, nobody has the lock: it reads them each time.
        _ = lastLook.withLockIfAvailable { $0 = (limits, Deadline(after: .milliseconds(100))) }
        return limits
    }

    init(files: SystemFiles, sources: ControlGroupSources) {
        let unified = ControlGroup(unifiedIn: sources, files: files)
        let cpuset = ControlGroup(controller: "cpuset", in: sources, files: files)
        let cpu = ControlGroup(controller: "cpu", in: sources, files: files)
        processors = Self.processors(cpuset, unified, files: files)
        quota = [Self.quota(version1: cpu, files: files), Self.quota(version2: unified, files: files)].compactMap { $0 }.min()
    }

    /// The processors of the nearest group that names some; the kernel has cut a group's effective list to its parents'.
    private static func processors(_ version1: ControlGroup?, _ version2: ControlGroup?, files: SystemFiles) -> [Int]? {
        // In a mixed set-up a controller is in one of the two hierarchies; the other has no such files.
        for folder in version1?.folders ?? [] {
            for name in ["cpuset.effective_cpus", "cpuset.cpus"] {
                if let ids = files.ids("\(folder)/\(name)"), !ids.isEmpty { return ids }
            }
        }
        for folder in version2?.folders ?? [] {
            if let ids = files.ids("\(folder)/cpuset.cpus.effective"), !ids.isEmpty { return ids }
        }
        return nil
    }

    /// The tightest of a group's and its parents' quotas: each of them binds, and none shows the others.
    private static func quota(version1 group: ControlGroup?, files: SystemFiles) -> Double? {
        group?.folders.compactMap { folder -> Double? in
            guard let quota = files.integer("\(folder)/cpu.cfs_quota_us"), quota > 0,
                let period = files.integer("\(folder)/cpu.cfs_period_us"), period > 0
            else { return nil }
            return Double(quota) / Double(period)
        }.min()
    }

    private static func quota(version2 group: ControlGroup?, files: SystemFiles) -> Double? {
        group?.folders.compactMap { folder -> Double? in
            // "max 100000" or "150000 100000"
            let numbers = files.line("\(folder)/cpu.max")?.split(separator: " ").map { Int($0) } ?? []
            guard numbers.count == 2, let quota = numbers[0], let period = numbers[1], quota > 0, period > 0 else { return nil }
            return Double(quota) / Double(period)
        }.min()
    }
}
