import Glibc
import Testing

/// A process of its own for each experiment, so that the arena is the experiment's alone: this test program, started anew.
enum Laboratory {
    private static let variable = "MP_DEATH_EXPERIMENT"

    /// Which experiment this process is for, when it is such a process.
    static var requested: String? { getenv(variable).map { String(cString: $0) } }

    /// Whether every instruction is to be tried, instead of every state of the shared memory and some instructions in between.
    static var isExtended: Bool { getenv("MP_EXTENDED") != nil }

    struct Failure: Error, CustomStringConvertible { var description: String }

    /// Runs an experiment in its process.
    /// - Returns: what it has to report, line by line.
    static func run(_ experiment: String) throws {
        let output = try runProgram(experiment)
        for line in output.text.split(separator: "\n") where line.hasPrefix(reportPrefix) { print(line) }
        guard output.status == 0 else {
            throw Failure(description: "the experiment \(experiment) ended with wait status \(output.status):\n\(output.text)")
        }
    }

    static let reportPrefix = "death: "

    private static func runProgram(_ experiment: String) throws -> (status: Int32, text: String) {
        let arguments = ["death-laboratory", "--testing-library", "swift-testing", "--filter", "DeathTests.LaboratoryDoor"]
        var argv = arguments.map { strdup($0) } + [nil]
        var environment = [strdup("\(variable)=\(experiment)")]
        var entry = environ
        while let pointer = entry.pointee {
            environment.append(strdup(pointer))
            entry += 1
        }
        environment.append(nil)
        defer { (argv + environment).forEach { free($0) } }
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Failure(description: "pipe: errno \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
        var pid: pid_t = 0
        let result = posix_spawn(&pid, "/proc/self/exe", &actions, nil, &argv, &environment)
        close(ends[1])
        guard result == 0 else { throw Failure(description: "posix_spawn: errno \(result)") }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(ends[0], &buffer, buffer.count)
            if count > 0 { text += buffer[..<count] } else if count == 0 || errno != EINTR { break }
        }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 {
            guard errno == EINTR else { throw Failure(description: "waitpid: errno \(errno)") }
        }
        return (status, String(decoding: text, as: UTF8.self))
    }
}

/// Not a test: where the process of an experiment comes in.
struct LaboratoryDoor {
    @Test(.enabled(if: Laboratory.requested != nil, "runs in the processes of the experiments only")) func enter() throws {
        // Longer than any experiment: one that hangs must not hang the tests.
        alarm(Laboratory.isExtended ? 3600 : 300)
        let name = try #require(Laboratory.requested)
        let experiment = try #require(experiments[name], "there is no experiment \(name)")
        try experiment()
    }

    private let experiments: [String: () throws -> Void] = [
        "allocateSmall": AllocatorExperiments.allocateSmall,
        "allocateSmallInNewGranule": AllocatorExperiments.allocateSmallInNewGranule,
        "allocateLarge": AllocatorExperiments.allocateLarge,
        "growLarge": AllocatorExperiments.growLarge,
        "freeSmall": AllocatorExperiments.freeSmall,
        "freeLarge": AllocatorExperiments.freeLarge,
        "allocateBesideOthers": AllocatorExperiments.allocateBesideOthers,
        "make": HandleExperiments.make,
        "decode": HandleExperiments.decode,
        "dropInherited": HandleExperiments.dropInherited,
        "dropLast": HandleExperiments.dropLast,
        "firstLock": LockExperiments.firstLock,
        "lock": LockExperiments.lock,
        "lockOfWord": LockExperiments.lockOfWord,
        "lockHandedOn": LockExperiments.lockHandedOn,
        "unlock": LockExperiments.unlock,
        "lockHavingSlept": LockExperiments.lockHavingSlept,
        "profiledLock": LockExperiments.profiledLock,
        "profiledLockInAnothersPlace": LockExperiments.profiledLockInAnothersPlace,
        "claimAndFinish": RingExperiments.claimAndFinish,
        "callWorker": RingExperiments.callWorker,
        "sleep": RingExperiments.sleep,
        "reclaim": ReclaimExperiments.reclaim,
        "reclaimBesideOthers": ReclaimExperiments.reclaimBesideOthers,
        "reclaimBeforeChildren": ReclaimExperiments.reclaimBeforeChildren,
        "poolRetry": PoolExperiments.retry,
        "poolFail": PoolExperiments.fail,
    ]
}
