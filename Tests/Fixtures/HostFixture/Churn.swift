import Glibc
import Multiprocessing

// Much work and many deaths, and what is left of them.

/// What this process has, by the kernel's own account.
private struct Held {
    /// But for those of spare processes, which come when there is time for them.
    let descriptors = openDescriptors().count { !isOfSpare($0) }
    /// Ended or not.
    let children = childProcesses().count

    func isMore(than other: Held) -> Bool { descriptors > other.descriptors || children > other.children }
}

/// Says whether more is held than `before`. Ends that have been seen are cleared up a moment later: of what was held before, too, so that it may be less.
private func sayWhatAccumulated(since before: Held) {
    var now = Held()
    for _ in 0..<500 where now.isMore(than: before) {
        usleep(10_000)
        now = Held()
    }
    say(now.isMore(than: before) ? "before \(before), after \(now)" : "nothing")
}

/// Whether a descriptor stands for a process that waits for work, or has been forked for that a moment ago, or is gone, heard of or not.
private func isOfSpare(_ descriptor: Int32) -> Bool {
    guard let info = text(of: "/proc/self/fdinfo/\(descriptor)"),
        let line = info.split(separator: "\n").first(where: { $0.hasPrefix("Pid:") }),
        let pid = line.split(separator: "\t").last
    else { return false }
    if text(of: "/proc/\(pid)/stat")?.contains(") Z ") ?? true { return true }
    return ["mp-spare\n", "mp-forkserver\n"].contains(text(of: "/proc/\(pid)/comm"))
}

private func text(of path: String) -> String? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    return String(decoding: bytes[..<fread(&bytes, 1, bytes.count, file)], as: UTF8.self)
}

/// The children of this process, ended or not.
func childProcesses() -> [Int32] {
    var pids: [Int32] = []
    guard let directory = opendir("/proc/self/task") else { return [] }
    defer { closedir(directory) }
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        guard let file = fopen("/proc/self/task/\(name)/children", "r") else { continue }
        defer { fclose(file) }
        var pid: Int32 = 0
        while withUnsafeMutablePointer(to: &pid, { p in withVaList([p]) { vfscanf(file, "%d", $0) } }) == 1 { pids.append(pid) }
    }
    return pids
}

/// 2,000 tasks, by one pool and by pools of their own.
@Sendable func churn(_: [String]) async throws {
    func work() throws {
        try withPool(processes: 2) { pool in
            guard try pool.map(0..<200, { $0 + 1 }).reduce(0, +) == 20_100 else { fatalError("wrong sum") }
        }
    }
    try work()
    let before = Held()
    for _ in 0..<9 { try work() }
    sayWhatAccumulated(since: before)
}

/// 200 workers that die: by signals, exits and traps, in a pool and as processes of their own.
@Sendable func deaths(_: [String]) async throws {
    let pool = try Pool(processes: 2)
    func round(_ i: Int) {
        do {
            switch i % 4 {
            case 0: _ = try pool.apply { _exit(0) }
            case 1: _ = try pool.apply { kill(getpid(), SIGKILL) }
            case 2:
                let child = ChildProcess { _exit(1) }
                try child.start()
                _ = try child.result()
            default:
                var configuration = WorkerConfiguration()
                configuration.startMethod = .fork
                let child = ChildProcess(configuration: configuration) { _exit(1) }
                try child.start()
                _ = try child.result()
            }
            fatalError("a dead worker has answered")
        } catch {
            guard error is WorkerTerminated else { fatalError("\(error)") }
        }
    }
    /// Waits until both workers are there: what is counted must not be on its way.
    func settle() throws { _ = try pool.map(0..<2) { _ in usleep(20_000) } }
    for i in 0..<20 { round(i) }
    try settle()
    let before = Held()
    for i in 0..<200 { round(i) }
    try settle()
    sayWhatAccumulated(since: before)
    pool.close()
    try pool.join()
}
