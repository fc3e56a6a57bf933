import Glibc
import Testing

@testable import MachineTopology

/// What is set in the kernel, on this machine. Each on a thread of its own, as all of it sticks to the thread.
@Suite struct ApplyTests {
    @Test func affinityIsWhatTheKernelSchedulesBy() throws {
        for id in Machine.current.availableProcessors {
            let stat = try onOwnThread {
                try apply(processors: [id])
                return SystemFiles(root: "/").line("/proc/thread-self/stat")
            }
            // The 39th field, where the second one, a name, may hold spaces and ends in a parenthesis.
            let ranOn = try #require(stat?.split(separator: ")").last).split(separator: " ").map { Int($0) }[36]
            #expect(ranOn == id)
        }
    }

    @Test(arguments: [[], [-1], [5000], [1 << 30], [Int.max]])
    func impossibleProcessorsThrowAndChangeNothing(processors: [Int]) throws {
        let (error, before, after) = try onOwnThread {
            let before = currentAffinity()
            do throws(PlacementError) {
                try apply(processors: processors)
                return (PlacementError?.none, before, currentAffinity())
            } catch { return (error, before, currentAffinity()) }
        }
        let thrown = try #require(error)
        #expect(thrown.code == (processors.isEmpty ? nil : EINVAL))
        #expect(thrown.description.contains("this process may use processor"))
        #expect(before == after)
    }

    /// The kernel takes a mask of which it can grant a part only, and says nothing.
    @Test func processorsGrantedInPartThrow() throws {
        let first = try #require(Machine.current.availableProcessors.first)
        let description = try onOwnThread {
            do throws(PlacementError) {
                try apply(processors: [first, 4000])
                return ""
            } catch { return error.description }
        }
        #expect(description.contains("the kernel granted processor \(first)"))
    }

    @Test(arguments: [MemoryPolicy.local, .bind(0), .interleave, .default])
    func memoryPoliciesAreWhatTheKernelReports(policy: MemoryPolicy) throws {
        let state = try onOwnThread {
            try apply(policy); return PolicyState.ofThread()
        }
        // A sandbox that forbids these calls reports nothing, and has nothing to verify with.
        guard let state else { return }
        let nodes = Machine.current.nodes.filter { $0.memorySize > 0 }.map { Int32($0.id) }
        switch policy {
        case .default: #expect(state == PolicyState(mode: 0, nodes: []))
        case .bind: #expect(state == PolicyState(mode: 2, nodes: [0]))
        case .interleave: #expect(state == PolicyState(mode: 3, nodes: nodes))
        case .local: #expect(state.means(PolicyState(mode: 4, nodes: [])))
        }
    }

    @Test(arguments: [MemoryPolicy.bind(7), .bind(-1), .bind(Int.max)])
    func unknownNodesThrowWhetherThereIsNUMAOrNot(policy: MemoryPolicy) throws {
        guard Machine.current.nodes.count == 1 else { return }
        for callsWork in [true, false] {
            #expect { try onOwnThread { try apply(policy, callsWork: callsWork, files: SystemFiles(root: "/")) } } throws: {
                "\($0)".contains("may take memory from node 0 alone")
            }
        }
    }

    @Test(arguments: [MemoryPolicy.local, .bind(0), .interleave, .default])
    func withoutNUMACallsOneNodeFulfilsThemAllAndSeveralNone(policy: MemoryPolicy) throws {
        let one = try FixtureTree([:])
        let two = try FixtureTree(["/sys/devices/system/node/online": "0-1"])
        // Else the trees go with their last use, which is before the files are read.
        defer { withExtendedLifetime((one, two)) {} }
        try apply(policy, callsWork: false, files: SystemFiles(root: one.root))
        if policy == .default {
            try apply(policy, callsWork: false, files: SystemFiles(root: two.root))
        } else {
            #expect { try apply(policy, callsWork: false, files: SystemFiles(root: two.root)) } throws: {
                "\($0)".contains("refuses NUMA calls")
            }
        }
    }

    @Test func aRangeOfSharedMemoryGoesToItsNode() throws {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let address = try #require(mmap(nil, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
        defer { munmap(address, 2 * page) }
        let range = UnsafeMutableRawBufferPointer(start: address, count: 2 * page)
        try bind(range, toNode: 0)
        if let node = memoryNode(of: address) { #expect(node == 0) }
        if let state = PolicyState.of(address) { #expect(state == PolicyState(mode: 2, nodes: [0])) }
        #expect(throws: PlacementError.self) { try bind(range, toNode: 900) }
        #expect { try bind(UnsafeMutableRawBufferPointer(rebasing: range[1...]), toNode: 0) } throws: {
            ($0 as? PlacementError)?.code == EINVAL
        }
    }

    @Test func nicenessIsAbsolute() throws {
        let before = currentNiceness()
        let seen = try onOwnThread {
            try applyNiceness(min(19, before + 3))
            try applyNiceness(min(19, before + 3))
            return currentNiceness()
        }
        #expect(seen == min(19, before + 3))
        #expect(currentNiceness() == before)
    }

    @Test(arguments: [-21, 20, Int.min, Int.max])
    func nicenessOutsideOfItsRangeThrows(niceness: Int) throws {
        #expect { try applyNiceness(niceness) } throws: { "\($0)".contains("from -20 to 19") }
    }

    @Test func gettingLessNiceWithoutThePrivilegeThrows() throws {
        let error = try onOwnThread { () -> PlacementError? in
            try applyNiceness(10)
            try giveUpRoot()
            do throws(PlacementError) {
                try applyNiceness(0)
                return nil
            } catch { return error }
        }
        let thrown = try #require(error)
        #expect(thrown.code == EACCES || thrown.code == EPERM)
        #expect(thrown.description.contains("Choose 10 or more"))
    }
}

/// Takes root's privileges from the calling thread alone: the C library's own functions would take them from all threads.
private func giveUpRoot() throws {
    guard geteuid() == 0 else { return }
    // `syscall` is variadic, so Swift does not import it. It is called with the registers that its fixed form would use.
    typealias Call = @convention(c) (Int, Int, Int, Int) -> Int
    let call = unsafeBitCast(try #require(dlsym(nil, "syscall")), to: Call.self)
    #if arch(x86_64)
        let setresuid = 117
    #else
        let setresuid = 147
    #endif
    try #require(call(setresuid, 65534, 65534, 65534) == 0)
}
