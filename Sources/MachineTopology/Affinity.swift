internal import CMultiprocessing
internal import Glibc

/// The processors that the calling thread may run on, ascending; nil if the kernel does not say.
package func currentAffinity() -> [Int]? {
    var capacity = 256
    while true {
        var total = 0
        var error: Int32 = 0
        let ids = [Int32](unsafeUninitializedCapacity: capacity) { buffer, count in
            // A capacity above zero has an address.
            guard let address = buffer.baseAddress else { return }
            error = mp_affinity_get(address, capacity, &total)
            count = error == 0 ? min(total, capacity) : 0
        }
        if error != 0 { return nil }
        if total <= capacity { return ids.map { Int($0) } }
        capacity = total
    }
}

/// Lets the calling thread, and all that it starts from now on, run on these processors and no others.
///
/// The kernel drops processors that do not exist or are not allowed without a word as long as one is left, so what it has set
/// is read back. Does not block; two system calls.
package func apply(processors: [Int]) throws(PlacementError) {
    guard !processors.isEmpty else {
        throw PlacementError(
            asked: "to run on no processor at all", found: foundProcessors(), advice: "Name at least one processor.")
    }
    // An id that C's int cannot hold becomes -1, which is no processor's either.
    let ids = processors.map { Int32(exactly: $0) ?? -1 }
    let error = ids.withUnsafeBufferPointer { ids in
        ids.baseAddress.map { mp_affinity_set($0, ids.count) } ?? EINVAL
    }
    if error != 0 {
        throw PlacementError(
            asked: "to run on \(processorText(processors))", found: foundProcessors(),
            advice: "Choose among the processors this process may use (Machine.current.availableProcessors).", code: error)
    }
    let wanted = processors.sortedOnce()
    let got = currentAffinity()
    if got != wanted {
        throw PlacementError(
            asked: "to run on \(processorText(wanted))",
            found: "the kernel granted \(got.map { processorText($0) } ?? "what it does not report")",
            advice: "Choose among the processors this process may use (Machine.current.availableProcessors).")
    }
}

private func foundProcessors() -> String {
    currentAffinity().map { "this process may use \(processorText($0))" } ?? "the kernel does not say which processors there are"
}

/// `processor 3` or `processors 0-3,8`.
func processorText(_ ids: [Int]) -> String {
    ids.sortedOnce().count == 1 ? "processor \(ids[0])" : "processors \(IDList.text(ids))"
}
