import Testing

@testable import MachineTopology

/// Control groups as they are found: version 1 and 2, mixed, nested, seen from inside of a container.
@Suite struct AllowanceTests {
    private static let version1Mounts = """
        22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
        33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 master:1 - cgroup cgroup rw,cpu,cpuacct
        34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
        """
    private static let version2Mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"

    private func allowance(_ files: [String: String], affinity: [Int]? = nil) throws -> Machine {
        try machine(plainFiles(8).merging(files) { _, new in new }, affinity: affinity)
    }

    @Test func version1TakesTheTightestQuotaOnTheWayUp() throws {
        let cpu = "/sys/fs/cgroup/cpu,cpuacct"
        var files = [
            "/proc/self/cgroup": "5:cpuset:/jobs\n3:cpu,cpuacct:/jobs/one/deep\n1:name=systemd:/x",
            "/proc/self/mountinfo": Self.version1Mounts,
            "\(cpu)/cpu.cfs_quota_us": "-1", "\(cpu)/cpu.cfs_period_us": "100000",
            "\(cpu)/jobs/cpu.cfs_quota_us": "250000", "\(cpu)/jobs/cpu.cfs_period_us": "100000",
            "\(cpu)/jobs/one/cpu.cfs_quota_us": "-1", "\(cpu)/jobs/one/cpu.cfs_period_us": "100000",
            "\(cpu)/jobs/one/deep/cpu.cfs_quota_us": "200000", "\(cpu)/jobs/one/deep/cpu.cfs_period_us": "50000",
            "/sys/fs/cgroup/cpuset/jobs/cpuset.effective_cpus": "1-3,6",
        ]
        #expect(try allowance(files).cpuQuota == 2.5)
        #expect(try allowance(files).availableProcessors == [1, 2, 3, 6])
        #expect(try allowance(files, affinity: [2, 6, 7]).availableProcessors == [2, 6])
        #expect(try allowance(files).defaultWorkerCount == 3)
        // Without its own limit, the group above still binds.
        files["\(cpu)/jobs/one/deep/cpu.cfs_quota_us"] = "-1"
        files["\(cpu)/jobs/cpu.cfs_quota_us"] = "-1"
        #expect(try allowance(files).cpuQuota == nil)
        #expect(try allowance(files).defaultWorkerCount == 4)
    }

    @Test func version2TakesTheTightestQuotaOnTheWayUp() throws {
        let top = "/sys/fs/cgroup"
        var files = [
            "/proc/self/cgroup": "0::/user.slice/job: a/leaf",
            "/proc/self/mountinfo": Self.version2Mounts,
            "\(top)/user.slice/cpu.max": "150000 100000",
            "\(top)/user.slice/job: a/cpu.max": "400000 100000",
            "\(top)/user.slice/job: a/leaf/cpu.max": "max 100000",
            // The leaf does not have the controller: its parent's set is its own.
            "\(top)/user.slice/job: a/cpuset.cpus.effective": "0-3",
            "\(top)/cpuset.cpus.effective": "0-7",
        ]
        #expect(try allowance(files).cpuQuota == 1.5)
        #expect(try allowance(files).defaultWorkerCount == 2)
        #expect(try allowance(files).availableProcessors == [0, 1, 2, 3])
        files["\(top)/user.slice/cpu.max"] = "max 100000"
        #expect(try allowance(files).cpuQuota == 4)
    }

    @Test func aQuotaBelowOneProcessorIsOneWorker() throws {
        let files = [
            "/proc/self/cgroup": "0::/", "/proc/self/mountinfo": Self.version2Mounts, "/sys/fs/cgroup/cpu.max": "5000 100000",
        ]
        #expect(try allowance(files).cpuQuota == 0.05)
        #expect(try allowance(files).defaultWorkerCount == 1)
    }

    @Test func aContainerSeesItsGroupAtTheMountsTop() throws {
        // Version 1 without a namespace of its own: the path is the host's, and the mount shows just that part.
        var files = [
            "/proc/self/cgroup": "3:cpu,cpuacct:/docker/0a1b",
            "/proc/self/mountinfo":
                "33 31 0:30 /docker/0a1b /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct",
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "300000", "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        ]
        #expect(try allowance(files).cpuQuota == 3)
        // The mount's root cannot be told from the path.
        files["/proc/self/cgroup"] = "3:cpu,cpuacct:/elsewhere"
        #expect(try allowance(files).cpuQuota == 3)
        // A group outside of the process's namespace.
        files["/proc/self/cgroup"] = "3:cpu,cpuacct:/../sibling"
        #expect(try allowance(files).cpuQuota == 3)
        // A path with a common beginning is another group, which this mount does not show.
        files["/proc/self/cgroup"] = "3:cpu,cpuacct:/docker/0a1bc"
        files["/sys/fs/cgroup/cpu,cpuacctc/cpu.cfs_quota_us"] = "100000"
        #expect(try allowance(files).cpuQuota == 3)
    }

    @Test func aMixedSetUpUsesBothVersions() throws {
        let files = [
            "/proc/self/cgroup": "1:cpu,cpuacct:/\n0::/a",
            "/proc/self/mountinfo":
                Self.version1Mounts + "\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "600000", "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            "/sys/fs/cgroup/unified/a/cpuset.cpus.effective": "4-5",
        ]
        #expect(try allowance(files).cpuQuota == 6)
        #expect(try allowance(files).availableProcessors == [4, 5])
    }

    @Test func withoutAMountTableTheUsualPlacesAreTried() throws {
        let files = [
            "/proc/self/cgroup": "0::/a", "/sys/fs/cgroup/a/cpu.max": "200000 100000",
        ]
        #expect(try allowance(files).cpuQuota == 2)
        let version1 = [
            "/proc/self/cgroup": "4:cpu:/a", "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "50000",
            "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
        ]
        #expect(try allowance(version1).cpuQuota == 0.5)
    }

    @Test func mountPointsWithEscapedCharacters() throws {
        let files = [
            "/proc/self/cgroup": "0::/", "/proc/self/mountinfo": #"30 23 0:26 / /my\040groups rw - cgroup2 cgroup2 rw"#,
            "/my groups/cpu.max": "200000 100000",
        ]
        #expect(try allowance(files).cpuQuota == 2)
    }

    @Test(arguments: ["", "max", "100000", "a b", "0 100000", "100000 0", "-5 100000"])
    func damagedQuotasAreNone(text: String) throws {
        let files = [
            "/proc/self/cgroup": "0::/\n:::\nrubbish", "/proc/self/mountinfo": "rubbish\n" + Self.version2Mounts,
            "/sys/fs/cgroup/cpu.max": text,
        ]
        #expect(try allowance(files).cpuQuota == nil)
    }

    @Test func aCpusetThatWouldLeaveNothingIsNotBelieved() throws {
        let files = [
            "/proc/self/cgroup": "0::/", "/proc/self/mountinfo": Self.version2Mounts, "/sys/fs/cgroup/cpuset.cpus.effective": "900",
        ]
        #expect(try allowance(files, affinity: [1, 2]).availableProcessors == [1, 2])
    }
}
