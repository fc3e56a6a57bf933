/// Where this process is in one hierarchy of control groups: the folders that bind it, from its own group up to the
/// highest one that can be seen from here.
struct ControlGroup {
    /// The group's own folder first, the hierarchy's visible top last.
    let folders: [String]

    /// The group of the calling process in the version 1 hierarchy of `controller`; nil if it is in none.
    init?(controller: String, in sources: ControlGroupSources, files: SystemFiles) {
        guard let path = sources.paths[controller] else { return nil }
        let mounts = sources.mounts.filter { $0.kind == "cgroup" && $0.options.contains(controller) }
        // Without /proc/self/mountinfo: where every distribution has them, alone or beside cpuacct.
        let usual = ["/sys/fs/cgroup/\(controller)", "/sys/fs/cgroup/cpu,cpuacct"].map { Mount(usual: $0) }
        self.init(path: path, mounts: mounts.isEmpty ? usual : mounts, files: files)
    }

    /// The group of the calling process in the unified hierarchy, version 2; nil if it is in none.
    init?(unifiedIn sources: ControlGroupSources, files: SystemFiles) {
        guard let path = sources.paths[""] else { return nil }
        let mounts = sources.mounts.filter { $0.kind == "cgroup2" }
        self.init(path: path, mounts: mounts.isEmpty ? [Mount(usual: "/sys/fs/cgroup")] : mounts, files: files)
    }

    private init?(path: String, mounts: [Mount], files: SystemFiles) {
        for mount in mounts {
            guard let below = mount.below(path), files.exists(mount.point + below) else { continue }
            folders = Self.upwards(from: below).map { mount.point + $0 }
            return
        }
        // In a container the path may be the host's, of which only the container's own part is mounted: its top is then
        // the tightest group in sight.
        guard let mount = mounts.first(where: { files.exists($0.point) }) else { return nil }
        folders = [mount.point]
    }

    /// `/a/b` gives `/a/b`, `/a` and the empty path.
    private static func upwards(from path: String) -> [String] {
        var folders: [String] = []
        var rest = path[...]
        while let slash = rest.lastIndex(of: "/") {
            if rest.count > 1 { folders.append(String(rest)) }
            rest = rest[..<slash]
        }
        return folders + [""]
    }
}

/// What the kernel says of the calling process's control groups: in which it is, and where they can be seen.
struct ControlGroupSources: Sendable {
    /// The group's path for each version 1 controller, and under the empty name that of version 2.
    fileprivate(set) var paths: [String: String] = [:]
    fileprivate(set) var mounts: [Mount] = []

    /// Those of this system, which are there before a program starts, and are most of what there is to read.
    private static let systemMounts = mounts(files: SystemFiles(root: "/"))

    /// In which groups the calling process is now.
    static var current: ControlGroupSources { ControlGroupSources(files: SystemFiles(root: "/")) { systemMounts } }

    init(files: SystemFiles) { self.init(files: files) { Self.mounts(files: files) } }

    private init(files: SystemFiles, mounts: () -> [Mount]) {
        // hierarchy:controller,controller:/path, where a path may hold colons.
        for line in (files.text("/proc/self/cgroup") ?? "").split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            for controller in fields[1].split(separator: ",", omittingEmptySubsequences: false) {
                paths[String(controller)] = String(fields[2])
            }
        }
        // Most systems without a group at all have long mount tables.
        if !paths.isEmpty { self.mounts = mounts() }
    }

    private static func mounts(files: SystemFiles) -> [Mount] {
        (files.text("/proc/self/mountinfo") ?? "").utf8.split(separator: UInt8(ascii: "\n")).compactMap { Mount($0) }
    }
}

/// One mounted control group hierarchy.
struct Mount: Sendable {
    /// `cgroup` or `cgroup2`.
    let kind: String
    /// The group that is seen at `point`, below the hierarchy's root; empty for that root itself.
    private let root: String
    /// Where it is mounted, without a slash at its end.
    let point: String
    let options: [String]

    init(usual point: String) {
        (kind, root, self.point, options) = ("", "", point, [])
    }

    /// A line of /proc/self/mountinfo: `31 23 0:28 / /sys/fs/cgroup rw,relatime shared:7 - cgroup2 cgroup2 rw,cpu`. nil if it is
    /// of another file system.
    init?(_ line: Substring.UTF8View) {
        let fields = line.split(separator: UInt8(ascii: " "))
        // A varying number of optional fields ends in a lone dash.
        guard fields.count >= 10, let dash = fields.dropFirst(6).firstIndex(where: { $0.elementsEqual("-".utf8) }),
            fields.count > dash + 3, fields[dash + 1].starts(with: "cgroup".utf8)
        else { return nil }
        kind = String(Substring(fields[dash + 1]))
        root = Self.path(fields[3])
        point = Self.path(fields[4])
        options = Substring(fields[dash + 3]).split(separator: ",").map { String($0) }
    }

    /// `path`, a group's path from the hierarchy's root, as seen below this mount; nil if it cannot be seen there.
    func below(_ path: String) -> String? {
        // A group outside of the process's own namespace is written with leading dots.
        if path.hasPrefix("/..") { return nil }
        guard path.hasPrefix(root) else { return nil }
        let below = path.dropFirst(root.count)
        return below.isEmpty || below.hasPrefix("/") ? String(below == "/" ? "" : below) : nil
    }

    /// A path in mountinfo, with space, tab, line feed and backslash written as octal numbers, and without a slash at its end.
    private static func path(_ field: Substring.UTF8View) -> String {
        var bytes: [UInt8] = []
        var rest = field[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), let escaped = UInt8(Substring(rest.prefix(3)), radix: 8) {
                bytes.append(escaped)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        if bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}
