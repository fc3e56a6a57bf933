import Glibc
import Multiprocessing

// Much work and many deaths, and what is left of them.

/// Descriptors of this process, its descendants and its zombies, by the kernel's own account; but for the descriptors of spare processes, which come
/// when there is time for them.
func held() -> String { "descriptors \(openDescriptors().count { !isOfSpare($0) }) children \(children().count)" }

/// What is held, once that is what was held `before`: ends that have been seen are cleared up a moment later. What stays different is said as it is.
private func held(after before: String) -> String {
    for _ in 0..<500 where held() != before { usleep(10_000) }
    return held()
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
func children() -> [Int32] {
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
    let before = held()
    say(before)
    for _ in 0..<9 { try work() }
    say(held(after: before))
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
    let before = held()
    say(before)
    for i in 0..<200 { round(i) }
    try settle()
    say(held(after: before))
    pool.close()
    try pool.join()
}
