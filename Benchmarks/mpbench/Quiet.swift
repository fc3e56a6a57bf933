import BenchmarkSupport
import CBaselines
import Glibc

/// Sees to it that workers sleep while something else is measured.
///
/// Workers that spin for a while after a task would take a processor from the baseline, which is measured next.
final class Quiet {
    private let processes: [Int32]
    /// How often somebody was still awake when there was no more waiting.
    private(set) var disturbances = 0

    init(_ processes: [Int32]) { self.processes = processes }

    /// Blocks until all of them sleep, a second at most.
    func wait() {
        let latest = cb_now() + 1_000_000_000
        for process in processes {
            while processIsAwake(process) {
                if cb_now() > latest {
                    disturbances += 1
                    return
                }
                cb_sleep_until(cb_now() + 100_000)
            }
        }
    }

    /// What the reader of the figures should know; nil when all went well.
    var note: String? {
        disturbances == 0 ? nil : "\(disturbances) times workers were awake while a baseline was measured: it may look slower than it is"
    }
}

/// Whether a process runs, or would if it had a processor. One that is gone does not.
func processIsAwake(_ process: Int32) -> Bool {
    smallFile("/proc/\(process)/stat").flatMap(processState) == "R"
}

/// The text of a file of the kernel's; nil when it cannot be read.
func smallFile(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var text: [UInt8] = []
    var bytes = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = read(descriptor, &bytes, bytes.count)
        if count < 0 { return nil }
        if count == 0 { return String(decoding: text, as: UTF8.self) }
        text += bytes[..<count]
    }
}
