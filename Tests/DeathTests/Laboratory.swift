import Glibc
import TestSupport
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
        let program = try Program(anewFor: "DeathTests.LaboratoryDoor", variable: "\(variable)=\(experiment)")
        let lines = program.readRest()
        for line in lines where line.hasPrefix(reportPrefix) { print(line) }
        let code = program.wait()
        guard code == 0 else {
            throw Failure(description: "the experiment \(experiment) ended with \(code):\n\(lines.joined(separator: "\n"))")
        }
    }

    static let reportPrefix = "death: "
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
        "unlockAskedFor": LockExperiments.unlockAskedFor,
        "lockAskedFor": LockExperiments.lockAskedFor,
        "lockBeyondPlaces": LockExperiments.lockBeyondPlaces,
        "notify": WaitExperiments.notify,
        "useNotification": WaitExperiments.useNotification,
        "passOn": WaitExperiments.passOn,
        "enterAndLeave": WaitExperiments.enterAndLeave,
        "waitAgain": WaitExperiments.waitAgain,
        "barrierPass": BarrierExperiments.pass,
        "barrierGiveUp": BarrierExperiments.giveUp,
        "barrierAbort": BarrierExperiments.abort,
        "barrierReset": BarrierExperiments.reset,
        "barrierSettle": BarrierExperiments.settle,
        "profiledLock": LockExperiments.profiledLock,
        "profiledLockInAnothersPlace": LockExperiments.profiledLockInAnothersPlace,
        "readLock": ReadWriteExperiments.read,
        "writeLock": ReadWriteExperiments.write,
        "writeLockAfterDeath": ReadWriteExperiments.writeAfterDeath,
        "endReading": ReadWriteExperiments.endReading,
        "endWriting": ReadWriteExperiments.endWriting,
        "waitToRead": ReadWriteExperiments.waitToRead,
        "waitToWrite": ReadWriteExperiments.waitToWrite,
        "giveUpReading": ReadWriteExperiments.giveUpReading,
        "giveUpWriting": ReadWriteExperiments.giveUpWriting,
        "readAsTask": ReadWriteExperiments.readAsTask,
        "writeAsTask": ReadWriteExperiments.writeAsTask,
        "claimAndFinish": RingExperiments.claimAndFinish,
        "callWorker": RingExperiments.callWorker,
        "sleep": RingExperiments.sleep,
        "reclaim": ReclaimExperiments.reclaim,
        "reclaimBesideOthers": ReclaimExperiments.reclaimBesideOthers,
        "reclaimBeforeChildren": ReclaimExperiments.reclaimBeforeChildren,
        "queuePutSmall": QueueExperiments.putSmall,
        "queuePutFirstLarge": QueueExperiments.putFirstLarge,
        "queuePutLarge": QueueExperiments.putLarge,
        "queuePutObject": QueueExperiments.putObject,
        "queuePutNewObject": QueueExperiments.putNewObject,
        "queueGetSmall": QueueExperiments.getSmall,
        "queueGetLarge": QueueExperiments.getLarge,
        "queueGetObjects": QueueExperiments.getObjects,
        "queueClose": QueueExperiments.close,
        "queueDropLast": QueueExperiments.dropLast,
        "queuePutBesideSleeper": QueueExperiments.putBesideSleeper,
        "queueGetBesideSleeper": QueueExperiments.getBesideSleeper,
        "queueCloseBesideSleeper": QueueExperiments.closeBesideSleeper,
        "connectionSend": ConnectionExperiments.send,
        "connectionReceive": ConnectionExperiments.receive,
        "deposit": ConnectionExperiments.deposit,
        "fetch": ConnectionExperiments.fetch,
        "poolRetry": PoolExperiments.retry,
        "poolFail": PoolExperiments.fail,
    ]
}
