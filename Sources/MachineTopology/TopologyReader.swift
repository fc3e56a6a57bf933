/// Reads what /sys tells of the processors, their caches and the memory nodes.
struct TopologyReader {
    let processors: [Machine.Processor]
    let nodes: [Machine.Node]

    /// `fallback`: the processors, if the kernel does not even tell which there are.
    init(files: SystemFiles, fallback: [Int]) {
        let present =
            ["present", "possible", "online"].lazy.compactMap { files.ids("\(cpuFolder)/\($0)") }.first { !$0.isEmpty }
            ?? fallback.sortedOnce()
        // A kernel without hotplug has no such file, and none offline.
        let online = Set(files.ids("\(cpuFolder)/online") ?? present)

        nodes = readNodes(files: files, online: present.filter { online.contains($0) })
        let nodeOf = Dictionary(
            nodes.flatMap { node in node.processors.map { ($0, node.id) } }, uniquingKeysWith: { first, _ in first })
        let classes = EfficiencyClasses(files: files, processors: present)
        var caches = CacheReader(files: files)
        var cores: [Int: Int] = [:]

        var processors: [Machine.Processor] = []
        processors.reserveCapacity(present.count)
        for id in present {
            guard online.contains(id) else {
                processors.append(
                    .init(id: id, core: -1, package: -1, node: -1, caches: [], efficiencyClass: classes[id], isOnline: false))
                continue
            }
            let folder = "\(cpuFolder)/cpu\(id)/topology"
            // The kernel's core_id is unique in a package at best, so a core is told by the processors in it. Older kernels
            // know the list by its second name only.
            let siblings = files.ids("\(folder)/core_cpus_list") ?? files.ids("\(folder)/thread_siblings_list") ?? [id]
            let first = siblings.first ?? id
            let core = cores[first] ?? cores.count
            cores[first] = core
            processors.append(
                .init(
                    id: id, core: core,
                    // Some virtual machines say -1, which here means offline.
                    package: max(0, files.integer("\(folder)/physical_package_id") ?? 0),
                    node: nodeOf[id] ?? nodes[0].id, caches: caches.caches(of: id),
                    efficiencyClass: classes[id], isOnline: true))
        }
        self.processors = processors
    }
}

let cpuFolder = "/sys/devices/system/cpu"
private let nodeFolder = "/sys/devices/system/node"

/// The caches, each of which is read once however many processors share it: three quarters of the files in a large machine.
private struct CacheReader {
    private struct Key: Hashable {
        let index: Int
        let sharedBy: [Int]
    }

    private let files: SystemFiles
    private var known: [Key: Machine.Cache] = [:]

    init(files: SystemFiles) { self.files = files }

    mutating func caches(of processor: Int) -> [Machine.Cache] {
        var caches: [Machine.Cache] = []
        var index = 0
        while let sharedBy = files.ids("\(cpuFolder)/cpu\(processor)/cache/index\(index)/shared_cpu_list") {
            let key = Key(index: index, sharedBy: sharedBy)
            let cache = known[key] ?? read("\(cpuFolder)/cpu\(processor)/cache/index\(index)", sharedBy: sharedBy)
            known[key] = cache
            if let cache { caches.append(cache) }
            index += 1
        }
        return caches.sorted { $0.level < $1.level }
    }

    private func read(_ folder: String, sharedBy: [Int]) -> Machine.Cache? {
        guard let level = files.integer("\(folder)/level") else { return nil }
        let kind: Machine.Cache.Kind =
            switch files.line("\(folder)/type") {
            case "Data": .data
            case "Instruction": .instruction
            default: .unified
            }
        return Machine.Cache(
            level: level, kind: kind, size: files.line("\(folder)/size").flatMap { byteCount($0) } ?? 0, sharedBy: sharedBy)
    }

    /// `48K`, or with another unit or none.
    private func byteCount(_ text: Substring) -> Int? {
        let shift =
            switch text.last {
            case "K": 10
            case "M": 20
            case "G": 30
            default: 0
            }
        return Int(shift == 0 ? text : text.dropLast()).map { $0 << shift }
    }
}

/// The kinds of processors of a machine, ranked by speed.
private struct EfficiencyClasses {
    private let classes: [Int: Int]

    /// Arm's kernels give every processor a capacity; hybrid x86 processors have a list for each of the two kinds.
    init(files: SystemFiles, processors: [Int]) {
        if let slow = files.ids("/sys/devices/cpu_atom/cpus"), let fast = files.ids("/sys/devices/cpu_core/cpus"), !slow.isEmpty {
            classes = Dictionary(uniqueKeysWithValues: fast.map { ($0, 1) })
            return
        }
        var capacities: [Int: Int] = [:]
        for id in processors { capacities[id] = files.integer("\(cpuFolder)/cpu\(id)/cpu_capacity") }
        let ranks = Array(capacities.values).sortedOnce()
        classes = capacities.mapValues { ranks.firstIndex(of: $0) ?? 0 }
    }

    subscript(id: Int) -> Int { classes[id] ?? 0 }
}

/// The memory nodes, or the one node that a machine without NUMA is.
private func readNodes(files: SystemFiles, online: [Int]) -> [Machine.Node] {
    let ids = files.ids("\(nodeFolder)/online") ?? []
    let nodes = ids.map { id in
        let memory = readMemory(files.text("\(nodeFolder)/node\(id)/meminfo"))
        // The distances are listed for the online nodes, in their order.
        let distances = files.line("\(nodeFolder)/node\(id)/distance")?.split(separator: " ").compactMap { Int($0) } ?? []
        return Machine.Node(
            id: id, processors: files.ids("\(nodeFolder)/node\(id)/cpulist") ?? [], memorySize: memory.total,
            freeMemory: memory.free,
            distances: distances.count == ids.count ? Dictionary(uniqueKeysWithValues: zip(ids, distances)) : [id: 10])
    }
    // Some sandboxes show the nodes but nothing in them.
    if nodes.contains(where: { !$0.processors.isEmpty }) { return nodes }
    let memory = readMemory(files.text("/proc/meminfo"))
    return [.init(id: 0, processors: online, memorySize: memory.total, freeMemory: memory.free, distances: [0: 10])]
}

/// The bytes in `MemTotal: 4417740 kB` and `MemFree: …`, which a node's file starts with `Node 0`.
private func readMemory(_ text: String?) -> (total: Int, free: Int) {
    func bytes(_ name: Substring) -> Int {
        for line in (text ?? "").split(separator: "\n") {
            let words = line.split(separator: " ")
            guard let place = words.firstIndex(of: name), place + 1 < words.count else { continue }
            return (Int(words[place + 1]) ?? 0) << 10
        }
        return 0
    }
    return (bytes("MemTotal:"), bytes("MemFree:"))
}
