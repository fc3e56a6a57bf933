import CMultiprocessing
import Glibc

/// Forks the calling process.
///
/// The child has this thread only, no blocked signals and no handlers, and dies when the calling *thread* ends; it shares no unwritten output with its parent.
/// - Returns: nil in the child.
package func forkProcess() throws(SystemError) -> ProcessDescriptor? {
    var number: Int32 = -1
    let pid = try check(mp_process_fork(&number), "forking this process")
    return pid == 0 ? nil : ProcessDescriptor(owning: number, processIdentifier: pid)
}
