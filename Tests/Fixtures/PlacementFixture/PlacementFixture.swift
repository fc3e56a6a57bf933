import Glibc
import Multiprocessing

/// Looks whether workers and their memory are where they were asked to be, on whatever machine this runs on. What a worker was asked is compared with the files of
/// the kernel's own (`/proc/self/status`, `/proc/self/numa_maps`), not with what the library reads back.
///
/// Prints a line for each check, and ends with status 1 if one has failed. `Tests/EmulatedMachine/run` runs it on machines of several nodes.
@main
enum PlacementFixture {
    static func main() {
        var checks = Checks()
        let machine = Machine.current
        let (all, available) = (machine.processors.count, machine.availableProcessors.count)
        print("\(all) processors, \(available) of them available, \(machine.nodes.count) nodes")
        checks.topology(machine)
        checks.pinning(machine)
        checks.memory(machine)
        checks.refusals(machine)
        checks.sharing(machine)
        checks.fullNode(machine)
        let (count, failures) = (checks.count, checks.failures)
        print(failures == 0 ? "placement: all \(count) checks hold" : "placement: \(failures) of \(count) checks fail")
        exit(failures == 0 ? 0 : 1)
    }
}

struct Checks {
    private(set) var count = 0
    private(set) var failures = 0

    /// One check: an error that the body throws is a failure of it.
    mutating func check(_ name: String, _ body: () throws -> Bool) {
        count += 1
        do {
            let holds = try body()
            if !holds { failures += 1 }
            print(holds ? "ok      \(name)" : "FAILED  \(name)")
        } catch {
            failures += 1
            print("FAILED  \(name): \(error)")
        }
    }

    /// What the library reads of the machine, against the kernel's lists.
    mutating func topology(_ machine: Machine) {
        let system = "/sys/devices/system"
        check("nodes") { machine.nodes.map(\.id) == numbers(firstLine("\(system)/node/online")) }
        for node in machine.nodes {
            check("processors of node \(node.id)") {
                let online = Set(numbers(firstLine("\(system)/cpu/online")))
                return node.processors == numbers(firstLine("\(system)/node/node\(node.id)/cpulist")).filter(online.contains)
            }
            check("distances of node \(node.id)") {
                let distances = firstLine("\(system)/node/node\(node.id)/distance").split(separator: " ").compactMap { Int($0) }
                return machine.nodes.map { node.distances[$0.id] } == distances.map(Optional.some)
            }
            check("memory of node \(node.id)") { node.memorySize > 0 && node.freeMemory <= node.memorySize }
        }
        check("offline processors") {
            machine.processors.filter(\.isOnline).map(\.id) == numbers(firstLine("\(system)/cpu/online"))
        }
    }

    mutating func pinning(_ machine: Machine) {
        let populated = machine.nodes.filter { !$0.processors.isEmpty }
        let home = Dictionary(uniqueKeysWithValues: populated.flatMap { node in node.processors.map { ($0, node.id) } })
        check(".compact fills one node first") {
            let size = populated[0].processors.count
            let places = try allowed(.compact, workers: size)
            return places.allSatisfy { $0.count == 1 } && Set(places.map { home[$0[0]] }).count == 1 && Set(places).count == size
        }
        check(".spread takes a node for each worker") {
            let places = try allowed(.spread, workers: populated.count)
            return places.allSatisfy { $0.count == 1 } && Set(places.map { home[$0[0]] }).count == populated.count
        }
        check(".spread uses every processor once") {
            let places = try allowed(.spread, workers: machine.availableProcessors.count)
            return places.map { $0[0] }.sorted() == machine.availableProcessors
        }
        for node in populated {
            check(".nodes([\(node.id)])") { try allowed(.nodes([node.id]), workers: 2) == [node.processors, node.processors] }
        }
        check(".cpus, in reverse") {
            let order = Array(machine.availableProcessors.reversed())
            return try allowed(.cpus(order), workers: order.count).sorted { $0[0] > $1[0] } == order.map { [$0] }
        }
    }

    /// Where pages come from that a worker touches first.
    mutating func memory(_ machine: Machine) {
        let nodes = machine.nodes.map(\.id)
        let populated = machine.nodes.filter { !$0.processors.isEmpty }
        for node in nodes {
            // Pinned elsewhere, so that nothing but the policy can be the reason.
            let away = populated.last { $0.id != node } ?? populated[0]
            check(".bind(\(node)) on processors of node \(away.id)") {
                try pages(placed(pinning: .nodes([away.id]), memoryPolicy: .bind(node))) == [node: TouchedPages.count]
            }
        }
        for policy in [MemoryPolicy.local, .default] {
            for node in populated {
                check("\(policy) on processors of node \(node.id)") {
                    try pages(placed(pinning: .nodes([node.id]), memoryPolicy: policy)) == [node.id: TouchedPages.count]
                }
            }
        }
        check(".interleave takes from all nodes in turn") {
            let found = try pages(placed(memoryPolicy: .interleave))
            let share = TouchedPages.count / nodes.count
            return found.keys.sorted() == nodes && found.values.allSatisfy { abs($0 - share) <= 2 }
        }
        check("a replaced worker is where the one before was") {
            let last = populated[populated.count - 1].id
            let configuration = placed(pinning: .nodes([last]), memoryPolicy: .bind(nodes[0]))
            return try withPool(processes: 1, configuration: configuration) { pool in
                let first = try pool.apply(getpid)
                do { try pool.apply(crash) } catch is WorkerTerminated {}
                return try pool.apply(getpid) != first && pool.apply(allowedProcessors) == populated[populated.count - 1].processors
                    && pool.apply(nodesOfTouchedPages) == [nodes[0]: TouchedPages.count]
            }
        }
    }

    mutating func refusals(_ machine: Machine) {
        let unknown = machine.nodes.map(\.id).max().map { $0 + 1 } ?? 1
        check(".bind to a node that is not there") { try refuses(placed(memoryPolicy: .bind(unknown))) }
        check(".nodes with one that is not there") { try refuses(placed(pinning: .nodes([unknown]))) }
        for node in machine.nodes where node.processors.isEmpty {
            check(".nodes with one that has no processors") { try refuses(placed(pinning: .nodes([node.id]))) }
        }
        for processor in machine.processors where !processor.isOnline {
            check(".cpus with one that is offline") { try refuses(placed(pinning: .cpus([processor.id]))) }
        }
    }

    /// Workers on all nodes change the same words.
    mutating func sharing(_ machine: Machine) {
        check("increments of workers on all nodes are all there") {
            let counter = try SharedValue(0)
            let workers = machine.availableProcessors.count
            try withPool(processes: workers, configuration: placed(pinning: .spread)) { pool in
                _ = try pool.map(Array(repeating: counter, count: workers), addThousand)
            }
            return counter.value == 1000 * workers
        }
    }

    /// "When it is full, the worker fails, even if others have room": last, since it leaves the kernel busy.
    mutating func fullNode(_ machine: Machine) {
        guard machine.nodes.count > 1, let smallest = machine.nodes.min(by: { $0.memorySize < $1.memorySize }) else { return }
        check("a worker that fills the node it is bound to fails, and no other") {
            let configuration = placed(memoryPolicy: .bind(smallest.id))
            return try withPool(processes: 1, configuration: configuration) { pool in
                do {
                    try pool.apply(fill, smallest.memorySize + smallest.memorySize / 4)
                    return false
                } catch let error as WorkerTerminated {
                    // The worker after it has a whole node again.
                    return try error.status == .signaled(SIGKILL) && pool.apply(nodesOfTouchedPages) == [smallest.id: TouchedPages.count]
                }
            }
        }
    }
}

/// The processors that the workers of a pool may run on, in no order.
private func allowed(_ pinning: Pinning, workers: Int) throws -> [[Int]] {
    try withPool(processes: workers, configuration: placed(pinning: pinning)) { pool in
        // All are there at the same time, so that none answers twice.
        let start = try SharedBarrier(parties: workers)
        return try pool.map(Array(repeating: start, count: workers)) { start in
            _ = try start.wait()
            return allowedProcessors()
        }
    }
}

/// How many touched pages come from which node, in such a worker.
private func pages(_ configuration: WorkerConfiguration) throws -> [Int: Int] {
    try withPool(processes: 1, configuration: configuration) { try $0.apply(nodesOfTouchedPages) }
}

/// Whether a pool of such workers fails by a `PlacementError`.
private func refuses(_ configuration: WorkerConfiguration) throws -> Bool {
    do {
        try withPool(processes: 1, configuration: configuration) { _ = try $0.apply(getpid) }
        return false
    } catch is PlacementError {
        return true
    }
}

/// The configuration of workers that run, and take memory, there.
private func placed(pinning: Pinning = .none, memoryPolicy: MemoryPolicy = .default) -> WorkerConfiguration {
    var configuration = WorkerConfiguration()
    configuration.pinning = pinning
    configuration.memoryPolicy = memoryPolicy
    return configuration
}
