import DeathSupport
import Testing

/// A process may be killed before any instruction of what it does to shared memory: nothing is lost, nothing is torn, nothing is handed out twice.
@Suite(.enabled(if: ds_is_supported() && Laboratory.requested == nil, "processes cannot be stepped here"))
struct DeathTests {
    @Test(arguments: [
        "allocateSmall", "allocateSmallInNewGranule", "allocateLarge", "growLarge", "freeSmall", "freeLarge", "allocateBesideOthers",
    ])
    func inTheAllocator(_ experiment: String) throws { try Laboratory.run(experiment) }

    @Test(arguments: ["make", "decode", "dropInherited", "dropLast"])
    func inHandles(_ experiment: String) throws { try Laboratory.run(experiment) }

    @Test(arguments: [
        "firstLock", "lock", "lockOfWord", "lockHandedOn", "unlock", "lockHavingSlept", "unlockAskedFor", "lockAskedFor",
        "lockBeyondPlaces", "profiledLock", "profiledLockInAnothersPlace",
    ])
    func inLocks(_ experiment: String) throws { try Laboratory.run(experiment) }

    @Test(arguments: ["notify", "useNotification", "passOn", "enterAndLeave", "waitAgain"])
    func inWaitQueues(_ experiment: String) throws { try Laboratory.run(experiment) }

    @Test(arguments: ["barrierPass", "barrierGiveUp", "barrierAbort", "barrierReset", "barrierSettle"])
    func inBarriers(_ experiment: String) throws { try Laboratory.run(experiment) }

    @Test(arguments: [
        "readLock", "writeLock", "writeLockAfterDeath", "endReading", "endWriting", "waitToRead", "waitToWrite", "giveUpReading",
        "giveUpWriting", "readAsTask", "writeAsTask",
    ])
    func inReadWriteLocks(_ experiment: String) throws { try Laboratory.run(experiment) }

    @Test(arguments: ["claimAndFinish", "callWorker", "sleep"])
    func inTheTaskRing(_ experiment: String) throws { try Laboratory.run(experiment) }

    @Test(arguments: [
        "queuePutSmall",
        "queuePutFirstLarge",
        "queuePutLarge",
        "queuePutObject",
        "queuePutNewObject",
        "queueGetSmall",
        "queueGetLarge",
        "queueGetObjects",
        "queueClose", "queueDropLast",
        "queuePutBesideSleeper",
        "queueGetBesideSleeper",
        "queueCloseBesideSleeper",
    ])
    func inQueues(_ experiment: String) throws { try Laboratory.run(experiment) }

    @Test(arguments: ["reclaim", "reclaimBesideOthers", "reclaimBeforeChildren"])
    func inTheReclamationOfAnother(_ experiment: String) throws { try Laboratory.run(experiment) }

    @Test(arguments: ["connectionSend", "connectionReceive", "deposit", "fetch"])
    func inConnections(_ experiment: String) throws { try Laboratory.run(experiment) }
}

/// The same with whole pools, and with chance in place of the debugger.
@Suite(.enabled(if: Laboratory.requested == nil))
struct PoolUnderFireTests {
    @Test func everyTaskIsRetriedUntilItIsDone() throws { try Laboratory.run("poolRetry") }
    @Test func aDeathCostsOneTask() throws { try Laboratory.run("poolFail") }
}
