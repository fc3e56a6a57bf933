import Glibc
import Multiprocessing

/// Uses shared memory of all kinds under a limit on the size of files, in bytes.
@Sendable func fileLimit(_ arguments: [String]) async throws {
    let bytes = rlim_t(arguments[0]) ?? 0
    var limit = rlimit(rlim_cur: bytes, rlim_max: bytes)
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    func attempt(_ body: () throws -> Int) { do { say(try body()) } catch { say("\(error)") } }
    attempt {
        let value = try SharedValue(41)
        return try withPool(processes: 1) { pool in
            try pool.apply({ $0.withLock { $0 += 1 } }, value)
            return value.value
        }
    }
    attempt { try SharedMemory.create(name: "mp-file-limit-\(getpid())", size: 200 << 20).size }
    let (mine, theirs) = try pipe()
    attempt {
        try mine.send([UInt8](repeating: 1, count: 200 << 20))
        return 0
    }
    attempt {
        try mine.send([UInt8](repeating: 1, count: 1_000_000))
        return try theirs.receive([UInt8].self).count
    }
}
