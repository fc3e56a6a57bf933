import Glibc
import Multiprocessing

/// Memory that a worker touches to see where it comes from.
enum TouchedPages {
    static let count = 512
    static let size = 4096
}

/// The first line of a file; empty if there is none.
func firstLine(_ path: String) -> String {
    lines(path).first ?? ""
}

/// The numbers of the kernel's list `0-2,5`.
func numbers(_ list: String) -> [Int] {
    list.split(separator: ",").flatMap { part in
        let ends = part.split(separator: "-").compactMap { Int($0) }
        return ends.isEmpty ? [] : Array(ends[0]...ends[ends.count - 1])
    }
}

private func lines(_ path: String) -> [String] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var result: [String] = []
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    while getline(&line, &capacity, file) > 0 {
        if let line { result.append(String(String(cString: line).dropLast())) }
    }
    free(line)
    return result
}

/// The processors the kernel lets this process run on.
@Sendable func allowedProcessors() -> [Int] {
    let key = "Cpus_allowed_list:"
    let line = lines("/proc/self/status").first { $0.hasPrefix(key) } ?? key
    return numbers(String(line.dropFirst(key.count).drop { $0 == "\t" }))
}

/// Touches fresh memory, and says how many of its pages each node has given.
@Sendable func nodesOfTouchedPages() -> [Int: Int] {
    let length = TouchedPages.count * TouchedPages.size
    guard let memory = freshMemory(length) else { return [:] }
    defer { munmap(memory, length) }
    // Small pages, so that each has its turn; and in no mapping with others, whose pages would be counted with them.
    madvise(memory, length, MADV_NOHUGEPAGE)
    memset(memory, 1, length)
    let address = String(UInt(bitPattern: memory), radix: 16)
    guard let line = lines("/proc/self/numa_maps").first(where: { $0.hasPrefix(address + " ") }) else { return [:] }
    let counts = line.split(separator: " ").compactMap { word -> (Int, Int)? in
        let parts = word.split(separator: "=")
        guard parts.count == 2, word.hasPrefix("N"), let node = Int(parts[0].dropFirst()), let pages = Int(parts[1]) else { return nil }
        return (node, pages)
    }
    return Dictionary(uniqueKeysWithValues: counts)
}

@Sendable func addThousand(_ counter: SharedValue<Int>) {
    for _ in 0..<1000 { counter.withLock { $0 += 1 } }
}

/// Touches so many bytes of memory of this process's own.
@Sendable func fill(_ length: Int) {
    guard let memory = freshMemory(length) else { return }
    memset(memory, 1, length)
    munmap(memory, length)
}

@Sendable func crash() {
    kill(getpid(), SIGKILL)
}

private func freshMemory(_ length: Int) -> UnsafeMutableRawPointer? {
    let memory = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    return memory == MAP_FAILED ? nil : memory
}
