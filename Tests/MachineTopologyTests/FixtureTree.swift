import Foundation

@testable import MachineTopology

/// A folder that looks like the root of another machine, and goes when the value does.
final class FixtureTree {
    let root: String

    init(_ files: [String: String]) throws {
        var template = Array("\(NSTemporaryDirectory())/machine-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw POSIXError(.EIO) }
        root = String(cString: made)
        var folders: Set<String> = []
        for (path, text) in files {
            let folder = (root + path as NSString).deletingLastPathComponent
            if folders.insert(folder).inserted {
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            }
            // As the kernel writes them, with a line's end. Large trees have thousands of files, which Foundation is slow at.
            guard let file = fopen(root + path, "w") else { throw POSIXError(.EIO) }
            fputs("\(text)\n", file)
            fclose(file)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }
}

/// The machine that these files describe.
func machine(_ files: [String: String], affinity: [Int]? = nil) throws -> Machine {
    let tree = try FixtureTree(files)
    return withExtendedLifetime(tree) { Machine(root: tree.root, affinity: affinity) }
}

/// The files of a machine: 2 packages of 4 nodes of 2 L3 caches of 4 cores of 2 hardware threads, 128 processors. As on
/// many such machines, the first threads of all cores have the numbers 0 to 63 and the second ones 64 to 127.
func twoSocketFiles() -> [String: String] {
    let cpu = "/sys/devices/system/cpu"
    var files = ["\(cpu)/present": "0-127", "\(cpu)/online": "0-127", "/sys/devices/system/node/online": "0-7"]
    for id in 0..<128 {
        let first = id % 64
        files["\(cpu)/cpu\(id)/topology/core_cpus_list"] = "\(first),\(first + 64)"
        files["\(cpu)/cpu\(id)/topology/physical_package_id"] = "\(first / 32)"
        // Not unique in the machine, as the kernel's is not.
        files["\(cpu)/cpu\(id)/topology/core_id"] = "\(first % 32)"
        let domain = first / 4 * 4
        let caches = [
            ("1", "Data", "32K", "\(first),\(first + 64)"), ("1", "Instruction", "32K", "\(first),\(first + 64)"),
            ("2", "Unified", "512K", "\(first),\(first + 64)"),
            ("3", "Unified", "16M", "\(domain)-\(domain + 3),\(domain + 64)-\(domain + 67)"),
        ]
        for (index, cache) in caches.enumerated() {
            let folder = "\(cpu)/cpu\(id)/cache/index\(index)"
            files["\(folder)/level"] = cache.0
            files["\(folder)/type"] = cache.1
            files["\(folder)/size"] = cache.2
            files["\(folder)/shared_cpu_list"] = cache.3
        }
    }
    for node in 0..<8 {
        let folder = "/sys/devices/system/node/node\(node)"
        files["\(folder)/cpulist"] = "\(node * 8)-\(node * 8 + 7),\(node * 8 + 64)-\(node * 8 + 71)"
        files["\(folder)/meminfo"] = "Node \(node) MemTotal:       1048576 kB\nNode \(node) MemFree:         \(node) kB"
        files["\(folder)/distance"] =
            (0..<8).map { $0 == node ? "10" : $0 / 4 == node / 4 ? "12" : "32" }.joined(separator: " ")
    }
    return files
}

/// Read once: the tree has some thousand files.
let twoSockets: Result<Machine, any Error> = Result { try machine(twoSocketFiles()) }

/// The same machine, as a process sees it that may run on these processors only.
func twoSockets(affinity: [Int]) throws -> Machine {
    let all = try twoSockets.get()
    let allowance = Allowance(files: SystemFiles(root: "/nowhere"), affinity: affinity, online: nil)
    return Machine(processors: all.processors, nodes: all.nodes, allowance: allowance)
}

/// A machine of `count` processors of which nothing more is known.
func plainFiles(_ count: Int) -> [String: String] {
    ["/sys/devices/system/cpu/present": "0-\(count - 1)", "/sys/devices/system/cpu/online": "0-\(count - 1)"]
}
