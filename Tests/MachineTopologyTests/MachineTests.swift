import Testing

@testable import MachineTopology

@Suite struct MachineTests {
    @Test func thisMachineHasWhatItRunsOn() throws {
        let machine = Machine.current
        #expect(!machine.processors.isEmpty)
        #expect(machine.availableProcessors == machine.availableProcessors.sorted())
        let online = Set(machine.processors.filter(\.isOnline).map(\.id))
        #expect(!machine.availableProcessors.isEmpty && online.isSuperset(of: machine.availableProcessors))
        #expect(Set(machine.nodes.flatMap(\.processors)) == online)
        #expect(machine.nodes.map(\.memorySize).reduce(0, +) > 0)
        #expect(machine.nodes.allSatisfy { 0 <= $0.freeMemory && $0.freeMemory <= $0.memorySize })
        #expect((1...machine.availableProcessors.count).contains(machine.defaultWorkerCount))
        #expect(Allowance.current.workerCount == machine.defaultWorkerCount)
    }

    @Test func availableProcessorsFollowTheAffinityMask() throws {
        let last = try #require(Machine.current.availableProcessors.last)
        let (available, workers) = try onOwnThread {
            try apply(processors: [last])
            return (Machine.current.availableProcessors, Machine.current.defaultWorkerCount)
        }
        #expect(available == [last])
        #expect(workers == 1)
    }

    @Test func readsALargeMachine() throws {
        let machine = try twoSockets.get()
        #expect(machine.processors.map(\.id) == Array(0..<128))
        #expect(machine.nodes.map(\.id) == Array(0..<8))
        let processor = machine.processors[101]
        #expect((processor.package, processor.node, processor.core, processor.isOnline) == (1, 4, 37, true))
        #expect(machine.processors[37].core == 37)
        #expect(Set(machine.processors.map(\.core)).count == 64)
        #expect(processor.caches.map(\.level) == [1, 1, 2, 3])
        #expect(processor.caches.map(\.kind) == [.data, .instruction, .unified, .unified])
        #expect(processor.caches.map(\.size) == [32 << 10, 32 << 10, 512 << 10, 16 << 20])
        #expect(processor.caches[2].sharedBy == [37, 101])
        #expect(processor.caches[3].sharedBy == [36, 37, 38, 39, 100, 101, 102, 103])
        let node = machine.nodes[4]
        #expect(node.processors == Array(32...39) + Array(96...103))
        #expect((node.memorySize, node.freeMemory) == (1 << 30, 4 << 10))
        #expect((node.distances[4], node.distances[5], node.distances[0]) == (10, 12, 32))
        #expect(machine.defaultWorkerCount == 128)
    }

    @Test func anEmptyTreeIsOneProcessorOnOneNode() throws {
        let machine = try machine([:])
        #expect(machine.processors.map(\.id) == [0])
        #expect(machine.nodes.map(\.processors) == [[0]])
        #expect(machine.availableProcessors == [0])
        #expect(machine.cpuQuota == nil)
        #expect(machine.defaultWorkerCount == 1)
    }

    @Test func withoutAnyFilesTheAffinityMaskTells() throws {
        let machine = try machine([:], affinity: [2, 5])
        #expect(machine.processors.map(\.id) == [2, 5])
        #expect(machine.availableProcessors == [2, 5])
    }

    @Test func withoutNodesThereIsOneWithAllMemory() throws {
        var files = plainFiles(3)
        files["/proc/meminfo"] = "MemTotal:        4417740 kB\nMemFree:         3843580 kB\nMemAvailable:    1 kB"
        let machine = try machine(files)
        let node = try #require(machine.nodes.first)
        #expect(machine.nodes.count == 1)
        #expect((node.id, node.processors, node.distances) == (0, [0, 1, 2], [0: 10]))
        #expect((node.memorySize, node.freeMemory) == (4_417_740 << 10, 3_843_580 << 10))
        #expect(machine.processors.map(\.node) == [0, 0, 0])
        #expect(machine.processors.map(\.core) == [0, 1, 2])
    }

    @Test func offlineProcessorsAreListedAndNotAvailable() throws {
        var files = plainFiles(4)
        files["/sys/devices/system/cpu/online"] = "0,2-3"
        let machine = try machine(files, affinity: [0, 1, 2])
        #expect(machine.processors.map(\.isOnline) == [true, false, true, true])
        #expect(machine.processors[1].node == -1 && machine.processors[1].core == -1)
        #expect(machine.availableProcessors == [0, 2])
    }

    @Test func countsBeyondAThousandProcessors() throws {
        let machine = try machine(plainFiles(3000))
        #expect(machine.defaultWorkerCount == 3000)
        #expect(machine.processors[2999].id == 2999)
    }

    @Test func nodesOfMemoryAloneAndGapsInTheirNumbers() throws {
        var files = plainFiles(2)
        files["/sys/devices/system/node/online"] = "0,4"
        for (node, cpus, distance) in [(0, "0-1", "10 20"), (4, "", "20 10")] {
            files["/sys/devices/system/node/node\(node)/cpulist"] = cpus
            files["/sys/devices/system/node/node\(node)/distance"] = distance
        }
        let machine = try machine(files)
        #expect(machine.nodes.map(\.processors) == [[0, 1], []])
        #expect(machine.nodes.map(\.distances) == [[0: 10, 4: 20], [0: 20, 4: 10]])
    }

    @Test func kindsOfProcessorsAreRanked() throws {
        var arm = plainFiles(3)
        for (id, capacity) in [(0, 446), (1, 1024), (2, 871)] {
            arm["/sys/devices/system/cpu/cpu\(id)/cpu_capacity"] = "\(capacity)"
        }
        #expect(try machine(arm).processors.map(\.efficiencyClass) == [0, 2, 1])
        var hybrid = plainFiles(3)
        hybrid["/sys/devices/cpu_core/cpus"] = "0-1"
        hybrid["/sys/devices/cpu_atom/cpus"] = "2"
        #expect(try machine(hybrid).processors.map(\.efficiencyClass) == [1, 1, 0])
        #expect(try machine(plainFiles(2)).processors.map(\.efficiencyClass) == [0, 0])
    }
}
