import BinaryCoding
import MachineTopology
import SystemLayer

/// What a worker does to its own process before it begins. Sent only where there is something to do.
struct WorkerSettings: Codable {
    var environment: [String: String] = [:]
    var directory: String?
    var processors: [Int]?
    /// 0: local, 1: interleaved, 2: bound to `memoryNode`.
    var memoryPolicy: Int?
    var memoryNode = 0
    var niceness: Int?
    var memoryLimit: Int?

    /// The settings of one of a pool's workers, or of a child; nil when there are none. Checks the placement.
    /// - Parameters:
    ///   - processors: where it is pinned.
    ///   - directory: where it works, if not where its server does.
    init?(_ configuration: WorkerConfiguration, processors: [Int]?, directory: String?) {
        self.directory = directory
        environment = configuration.environment ?? [:]
        self.processors = processors
        switch configuration.memoryPolicy {
        case .default: memoryPolicy = nil
        case .local: memoryPolicy = 0
        case .interleave: memoryPolicy = 1
        case .bind(let node): (memoryPolicy, memoryNode) = (2, node)
        }
        niceness = configuration.niceness
        memoryLimit = configuration.memoryLimit?.bytes
        if environment.isEmpty, directory == nil, processors == nil, memoryPolicy == nil, niceness == nil, memoryLimit == nil { return nil }
    }

    /// Applies them to the calling process, and checks that the kernel agrees.
    func apply() throws {
        if let directory { try ThisProcess.changeDirectory(to: directory) }
        for (name, value) in environment { ThisProcess.setEnvironment(name, value) }
        if let processors { try MachineTopology.apply(processors: processors) }
        switch memoryPolicy {
        case 0: try MachineTopology.apply(.local)
        case 1: try MachineTopology.apply(.interleave)
        case 2: try MachineTopology.apply(.bind(memoryNode))
        default: break
        }
        if let niceness { try applyNiceness(niceness) }
        if let memoryLimit { try ThisProcess.limitPrivateMemory(bytes: UInt64(memoryLimit)) }
    }
}
