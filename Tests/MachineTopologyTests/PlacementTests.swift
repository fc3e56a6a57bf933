import Testing

@testable import MachineTopology

@Suite struct PlacementTests {
    /// The one processor each worker is on.
    private func order(_ pinning: Pinning, _ workers: Int, on machine: Machine) throws -> [Int] {
        try placements(for: pinning, workers: workers, on: machine).map { try #require($0?.count == 1 ? $0?.first : nil) }
    }

    @Test func noneLeavesEveryWorkerAlone() throws {
        #expect(try placements(for: .none, workers: 3, on: twoSockets.get()) == [nil, nil, nil])
    }

    @Test func compactFillsNeighboursFirst() throws {
        let machine = try twoSockets.get()
        let order = try order(.compact, 128, on: machine)
        #expect(Array(order.prefix(10)) == [0, 64, 1, 65, 2, 66, 3, 67, 4, 68])
        #expect(order.sorted() == Array(0..<128))
        // Every neighbourhood is full before the next one begins.
        let places = order.map { machine.processors[$0] }
        #expect(places.map(\.package) == places.map(\.package).sorted())
        #expect(places.map(\.node) == places.map(\.node).sorted())
        #expect(places.map(\.core) == places.map(\.core).sorted())
    }

    @Test func spreadGoesAcrossPackagesThenNodesThenCachesThenCoresThenThreads() throws {
        let machine = try twoSockets.get()
        let order = try order(.spread, 128, on: machine)
        #expect(Array(order.prefix(8)) == [0, 32, 8, 40, 16, 48, 24, 56])
        // The second round is on the other L3 cache of each node.
        #expect(Array(order[8..<16]) == [4, 36, 12, 44, 20, 52, 28, 60])
        // And the third is back on the first, on other cores.
        #expect(Array(order[16..<18]) == [1, 33])
        #expect(Set(order.prefix(64)) == Set(0..<64))
        #expect(order.sorted() == Array(0..<128))
        #expect(Set(order.prefix(2).map { machine.processors[$0].package }).count == 2)
        #expect(Set(order.prefix(8).map { machine.processors[$0].node }).count == 8)
        #expect(Set(order.prefix(16).map { machine.processors[$0].caches[3].sharedBy }).count == 16)
        #expect(Set(order.prefix(64).map { machine.processors[$0].core }).count == 64)
    }

    /// The example of the room's README.
    @Test func ordersAreWhatTheReadMeSays() throws {
        var files = plainFiles(16)
        files["/sys/devices/system/node/online"] = "0-3"
        for id in 0..<8 {
            for thread in [id, id + 8] {
                let folder = "/sys/devices/system/cpu/cpu\(thread)/topology"
                files["\(folder)/thread_siblings_list"] = "\(id),\(id + 8)"
                files["\(folder)/physical_package_id"] = "\(id / 4)"
            }
        }
        for node in 0..<4 {
            files["/sys/devices/system/node/node\(node)/cpulist"] = "\(2 * node)-\(2 * node + 1),\(2 * node + 8)-\(2 * node + 9)"
        }
        let machine = try machine(files)
        #expect(try order(.compact, 16, on: machine) == [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15])
        #expect(try order(.spread, 16, on: machine) == [0, 4, 2, 6, 1, 5, 3, 7, 8, 12, 10, 14, 9, 13, 11, 15])
    }

    @Test(arguments: [Pinning.compact, .spread])
    func theOrderStartsAgainAndKeepsWhenMoreWorkersCome(pinning: Pinning) throws {
        let machine = try twoSockets.get()
        let few = try order(pinning, 5, on: machine)
        let many = try order(pinning, 300, on: machine)
        #expect(Array(many.prefix(5)) == few)
        #expect(many[128] == many[0] && many[299] == many[43])
    }

    @Test(arguments: [Pinning.compact, .spread])
    func onlyAvailableProcessorsAreGivenOut(pinning: Pinning) throws {
        let available = [3, 67, 41, 105, 120]
        let machine = try twoSockets(affinity: available)
        let order = try order(pinning, 5, on: machine)
        #expect(order.sorted() == available.sorted())
        #expect(order == (pinning == .compact ? [3, 67, 41, 105, 120] : [3, 41, 120, 67, 105]))
    }

    @Test func fasterProcessorsComeFirst() throws {
        var files = plainFiles(4)
        files["/sys/devices/cpu_atom/cpus"] = "0-1"
        files["/sys/devices/cpu_core/cpus"] = "2-3"
        for id in 2...3 { files["/sys/devices/system/cpu/cpu\(id)/topology/core_cpus_list"] = "2-3" }
        let machine = try machine(files)
        #expect(try order(.compact, 4, on: machine) == [2, 3, 0, 1])
        #expect(try order(.spread, 4, on: machine) == [2, 0, 1, 3])
    }

    @Test func listsAreUsedInTheirOrderAndAgain() throws {
        let machine = try twoSockets.get()
        #expect(try order(.cpus([7, 3, 100]), 5, on: machine) == [7, 3, 100, 7, 3])
        let nodes = try placements(for: .nodes([6, 1]), workers: 3, on: machine)
        #expect(nodes == [machine.nodes[6].processors, machine.nodes[1].processors, machine.nodes[6].processors])
    }

    @Test func aNodesProcessorsAreTheAvailableOnes() throws {
        let machine = try twoSockets(affinity: [0, 9, 10, 127])
        #expect(try placements(for: .nodes([1]), workers: 1, on: machine) == [[9, 10]])
    }

    @Test func errorsSayWhatWasAskedWhatThereIsAndWhatToDo() throws {
        var files = plainFiles(6)
        files["/sys/devices/system/cpu/online"] = "0-3,5"
        let machine = try machine(files, affinity: [0, 1, 2, 3])
        func description(_ pinning: Pinning, workers: Int = 2) -> String {
            do {
                return "\(try placements(for: pinning, workers: workers, on: machine))"
            } catch { return error.description }
        }
        #expect(
            description(.cpus([1, 9]))
                == "It was asked to pin workers to processors 1,9, but there is no processor 9: this machine has processors 0-5. "
                + "Choose among processors 0-3, or use .compact or .spread.")
        #expect(description(.cpus([4])).contains("processor 4 is offline"))
        #expect(description(.cpus([5])).contains("may only use processors 0-3"))
        #expect(description(.cpus([-1])).contains("no processor -1"))
        #expect(description(.cpus([])).contains("empty list of processors"))
        #expect(description(.nodes([])).contains("empty list of nodes"))
        #expect(description(.nodes([0, 3])).contains("this machine has nodes 0"))
        #expect(description(.none, workers: 0).contains("Ask for 1 or more workers"))
        let other = try twoSockets(affinity: [0])
        #expect { try placements(for: .nodes([2]), workers: 1, on: other) } throws: {
            "\($0)".contains("none of that node's processors") && "\($0)".contains("Choose among nodes 0,")
        }
    }

    @Test func everyOrderOfThisMachineCanBeApplied() throws {
        let machine = Machine.current
        for pinning in [Pinning.compact, .spread, .nodes(machine.nodes.map(\.id))] {
            for processors in try placements(for: pinning, workers: machine.availableProcessors.count + 1, on: machine) {
                let wanted = try #require(processors)
                #expect(
                    try onOwnThread {
                        try apply(processors: wanted); return currentAffinity()
                    } == wanted)
            }
        }
    }
}
