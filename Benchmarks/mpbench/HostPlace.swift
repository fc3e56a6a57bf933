import CBaselines
import Multiprocessing

/// Keeps the calling thread, the host of the library's calls and of the C side's, on one processor that no worker is on while `body` runs.
///
/// Round trips between two processors and on one differ by far; on the same pair of processors both sides have the same way to go.
/// Does nothing where workers are not pinned, or where there is no other processor.
func withHost<T>(besides workers: [Int?], _ body: () throws -> T) throws -> T {
    guard let place = processor(besides: workers.compactMap { $0 }) else { return try body() }
    var before = [Int32](repeating: 0, count: 1024)
    let count = cb_affinity(&before, Int32(before.count))
    guard count > 0, count <= before.count, cb_set_affinity([Int32(place)], 1) == 0 else {
        throw BaselineFailure.call("pinning the benchmark itself to processor \(place)")
    }
    defer { _ = cb_set_affinity(before, count) }
    return try body()
}

/// An available processor near those, but of another core if there is one.
private func processor(besides taken: [Int]) -> Int? {
    guard !taken.isEmpty else { return nil }
    let machine = Machine.current
    let busy = machine.processors.filter { taken.contains($0.id) }
    let free = Set(machine.availableProcessors).subtracting(taken)
    let candidates = machine.processors.filter { free.contains($0.id) }
    let elsewhere = candidates.filter { candidate in !busy.contains { $0.core == candidate.core } }
    let near = elsewhere.first { candidate in busy.contains { $0.package == candidate.package } }
    return (near ?? elsewhere.first ?? candidates.first)?.id
}
