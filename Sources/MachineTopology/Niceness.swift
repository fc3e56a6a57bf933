internal import Glibc

/// The niceness of the calling thread: -20 (runs most) to 19 (runs least).
package func currentNiceness() -> Int {
    Int(getpriority(Int32(PRIO_PROCESS.rawValue), 0))
}

/// Sets the niceness of the calling thread, and of all that it starts from now on, to `niceness`, and verifies it.
///
/// On Linux niceness belongs to a thread, so a worker sets it before it starts any. Getting less nice needs a privilege
/// (CAP_SYS_NICE, or a fitting RLIMIT_NICE). Does not block.
package func applyNiceness(_ niceness: Int) throws(PlacementError) {
    let asked = "to run at niceness \(niceness)"
    // The kernel would cut it to the range without a word.
    guard (-20...19).contains(niceness) else {
        throw PlacementError(asked: asked, found: "niceness goes from -20 to 19", advice: "Choose a number in that range.")
    }
    if setpriority(Int32(PRIO_PROCESS.rawValue), 0, Int32(niceness)) != 0 {
        let code = errno
        throw PlacementError(
            asked: asked, found: "the niceness is \(currentNiceness()) and lowering it needs a privilege",
            advice: "Choose \(currentNiceness()) or more, or give the process CAP_SYS_NICE.", code: code)
    }
    let got = currentNiceness()
    if got != niceness {
        throw PlacementError(asked: asked, found: "the kernel set \(got)", advice: "Choose \(got), or leave the niceness alone.")
    }
}
