import CMultiprocessing
import SystemLayer

/// How much memory an arena may take.
///
/// The kernel answers `fallocate` in a memory cgroup that is full with the OOM killer, not with an error, so the limit has to be known beforehand.
enum MemoryLimit {
    /// Nine tenths of the machine's memory or of the tightest memory cgroup of this process, in bytes.
    static var current: UInt64 { min(mp_memory_physical(), cgroupLimit() ?? .max) / 10 * 9 }

    /// The tightest limit on the way from this process's memory cgroup to the root, of either version of cgroups; nil where there is none.
    static func cgroupLimit(root: String = "") -> UInt64? {
        guard let membership = textOfSmallFile(root + "/proc/self/cgroup") else { return nil }
        var tightest: UInt64?
        for line in membership.split(separator: "\n") {
            // hierarchy-ID:controller-list:path, with an empty list for version 2 (cgroups(7)).
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let (mount, file): (String, String)
            if fields[1].isEmpty {
                (mount, file) = ("/sys/fs/cgroup", "memory.max")
            } else if fields[1].split(separator: ",").contains("memory") {
                (mount, file) = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            } else {
                continue
            }
            var path = fields[2][...]
            while true {
                let text = textOfSmallFile("\(root)\(mount)\(path == "/" ? "" : path)/\(file)")
                // "max" in version 2 does not parse, and means none; version 1 writes a huge number instead.
                if let limit = text.flatMap({ UInt64($0.prefix { $0.isNumber }) }) { tightest = min(tightest ?? .max, limit) }
                guard let slash = path.lastIndex(of: "/"), path != "/" else { break }
                path = slash == path.startIndex ? "/" : path[..<slash]
            }
        }
        return tightest
    }
}
