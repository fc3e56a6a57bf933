internal import CMultiprocessing
internal import Glibc

/// Sets from which nodes the calling thread, and all that it starts from now on, takes memory, and verifies it.
///
/// A kernel without NUMA, or a sandbox that forbids its calls, is no error on a machine with one node: there is nothing to
/// choose. Does not block; a few system calls.
package func apply(_ policy: MemoryPolicy) throws(PlacementError) {
    try apply(policy, callsWork: mp_numa_available() != 0, files: SystemFiles(root: "/"))
}

/// As above, told whether the kernel takes NUMA calls, for tests.
func apply(_ policy: MemoryPolicy, callsWork: Bool, files: SystemFiles) throws(PlacementError) {
    if policy == .default { return }
    guard callsWork else { return try checkWithoutCalls(policy, nodes: files.ids("/sys/devices/system/node/online") ?? [0]) }

    let wanted: PolicyState
    switch policy {
    case .default: return
    case .local: wanted = PolicyState(mode: MP_NUMA_LOCAL, nodes: [])
    case .bind(let node): wanted = PolicyState(mode: MP_NUMA_BIND, nodes: [try checked(node)])
    case .interleave: wanted = PolicyState(mode: MP_NUMA_INTERLEAVE, nodes: allowedNodes())
    }
    let error = wanted.nodes.withUnsafeBufferPointer {
        mp_numa_set_policy(Int32(wanted.mode), $0.baseAddress, $0.count)
    }
    if error != 0 { throw refusal(of: policy, code: error) }
    guard let got = PolicyState.ofThread(), got.means(wanted) else {
        throw refusal(of: policy, code: nil)
    }
}

/// Where calls do not work, policies that change nothing are fulfilled, and others are not.
private func checkWithoutCalls(_ policy: MemoryPolicy, nodes: [Int]) throws(PlacementError) {
    guard nodes.count <= 1 else {
        throw PlacementError(
            asked: policy.asked, found: "the kernel, or the container's system call filter, refuses NUMA calls",
            advice: "Allow them (in Docker: --cap-add SYS_NICE), or use MemoryPolicy.default.", code: ENOSYS)
    }
    if case .bind(let node) = policy, !nodes.contains(node) {
        throw unknown(node, nodes: nodes)
    }
}

/// Decides from which node the pages of `range` come when they are first touched; for a shared mapping, whoever touches them.
/// `range` starts at a page's start. Pages already there stay. Reads the policy back.
package func bind(_ range: UnsafeMutableRawBufferPointer, toNode node: Int) throws(PlacementError) {
    guard let address = range.baseAddress else { return }
    if mp_numa_available() == 0 {
        return try checkWithoutCalls(.bind(node), nodes: SystemFiles(root: "/").ids("/sys/devices/system/node/online") ?? [0])
    }
    let id = try checked(node)
    let error = withUnsafePointer(to: id) { mp_numa_bind_range(address, range.count, Int32(MP_NUMA_BIND), $0, 1) }
    if error != 0 { throw refusal(of: .bind(node), code: error) }
    guard let got = PolicyState.of(address), got.means(PolicyState(mode: MP_NUMA_BIND, nodes: [id])) else {
        throw refusal(of: .bind(node), code: nil)
    }
}

/// The node of the page at `address`, which is made if it is not there yet; nil if the kernel does not say.
package func memoryNode(of address: UnsafeRawPointer) -> Int? {
    var node: Int32 = 0
    return mp_numa_node_of(address, &node) == 0 ? Int(node) : nil
}

/// A policy as the kernel reports it.
struct PolicyState: Equatable {
    let mode: Int
    let nodes: [Int32]

    /// The calling thread's.
    static func ofThread() -> PolicyState? {
        read { mp_numa_get_policy($0, $1, $2, $3) }
    }

    /// That of the mapping which holds `address`.
    static func of(_ address: UnsafeRawPointer) -> PolicyState? {
        read { mp_numa_get_range_policy(address, $0, $1, $2, $3) }
    }

    private static func read(
        _ call: (UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Int32>, Int, UnsafeMutablePointer<Int>) -> Int32
    ) -> PolicyState? {
        var mode: Int32 = 0
        return nodeList { call(&mode, $0, $1, $2) }.map { PolicyState(mode: Int(mode), nodes: $0) }
    }

    func means(_ wanted: PolicyState) -> Bool {
        // Kernels before 5.14 report the local policy as a preference for no node in particular.
        if wanted.mode == MP_NUMA_LOCAL && mode == MP_NUMA_PREFERRED && nodes.isEmpty { return true }
        return self == wanted
    }
}

private func allowedNodes() -> [Int32] {
    nodeList { mp_numa_allowed($0, $1, $2) } ?? []
}

/// What `call` writes as nodes, or nil if it fails. No kernel is built for more than 1,024 nodes.
private func nodeList(_ call: (UnsafeMutablePointer<Int32>, Int, UnsafeMutablePointer<Int>) -> Int32) -> [Int32]? {
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: 1024) { buffer in
        guard let address = buffer.baseAddress else { return nil }
        var count = 0
        return call(address, buffer.count, &count) == 0 ? Array(buffer.prefix(count)) : nil
    }
}

/// The node, if this process may take memory from it: the kernel only says EINVAL.
private func checked(_ node: Int) throws(PlacementError) -> Int32 {
    let allowed = allowedNodes()
    guard let id = Int32(exactly: node), allowed.contains(id) else { throw unknown(node, nodes: allowed.map { Int($0) }) }
    return id
}

private func unknown(_ node: Int, nodes: [Int]) -> PlacementError {
    PlacementError(
        asked: MemoryPolicy.bind(node).asked, found: "this process may take memory from \(nodeText(nodes))",
        advice: "Choose among those, or use MemoryPolicy.local.")
}

private func nodeText(_ nodes: [Int]) -> String {
    nodes.count == 1 ? "node \(nodes[0]) alone" : "nodes \(IDList.text(nodes))"
}

private func refusal(of policy: MemoryPolicy, code: Int32?) -> PlacementError {
    let got = PolicyState.ofThread().map { "mode \($0.mode), \(nodeText($0.nodes.map { Int($0) }))" } ?? "nothing"
    return PlacementError(
        asked: policy.asked, found: code == nil ? "the kernel reports \(got) instead" : "the kernel refused",
        advice: "Use MemoryPolicy.default, or see what the container or cgroup allows (cpuset.mems).", code: code)
}

extension MemoryPolicy {
    /// Throws for a node that the machine does not have: known before any worker is started. Reads nothing for the other policies.
    package func check(on machine: @autoclosure () -> Machine) throws(PlacementError) {
        guard case .bind(let node) = self else { return }
        let nodes = machine().nodes.map(\.id)
        if !nodes.contains(node) { throw unknown(node, nodes: nodes) }
    }

    fileprivate var asked: String {
        switch self {
        case .default: "to leave memory where it comes from"
        case .local: "to take memory from the local node"
        case .bind(let node): "to take memory from node \(node)"
        case .interleave: "to take memory from all nodes in turn"
        }
    }
}
