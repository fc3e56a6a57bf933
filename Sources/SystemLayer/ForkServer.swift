import CMultiprocessing
import Glibc

/// What a fork server says.
package enum ForkServerReply {
    case ready
    case failed(SystemError)
    case started(tag: UInt64, ProcessDescriptor)
    case notStarted(tag: UInt64, SystemError)
    /// It runs, but this process has no descriptor left to watch it by.
    case unwatchable(tag: UInt64)
    case ended(tag: UInt64, TerminationStatus)
}

/// The host's side of a fork server: the program's own image, started anew and taken over before its main (see `mp_forkserver.h`).
package final class ForkServer: Sendable {
    private let socket: Int32
    package let process: ProcessDescriptor

    /// Starts a server and waits until it is up.
    ///
    /// Call it on a thread that lives as long as the process: the kernel kills the server when that thread ends. Takes as long as the image takes to load.
    package init(deadline: Deadline) throws(SystemError) {
        var pidfd: Int32 = -1
        socket = try check(mp_server_start(&pidfd), "starting the fork server from \(Self.imageName)")
        process = ProcessDescriptor(owning: pidfd, processIdentifier: 0)
        guard waitForReply(until: deadline), let reply = try receive() else {
            process.send(signal: SIGKILL)
            _ = process.reap(wait: true)
            throw SystemError(code: ETIMEDOUT, call: "starting the fork server from \(Self.imageName), which ended or did not answer")
        }
        if case .failed(let error) = reply {
            _ = process.reap(wait: true)
            throw error
        }
    }

    private static var imageName: String { "/proc/self/exe" }

    /// Readable (for `poll`) when there is a reply.
    package var number: Int32 { socket }

    /// Asks for a worker. Any thread may.
    /// - Parameters:
    ///   - freshImage: start the image anew for it, instead of forking the server.
    ///   - isSpare: nobody waits for it yet, so it may get ready at leisure.
    ///   - launch: where in the arena its launch lies.
    package func request(tag: UInt64, freshImage: Bool, isSpare: Bool, launch: UInt64) throws(SystemError) {
        var request = mp_request()
        request.kind = UInt32(freshImage ? MP_REQUEST_EXEC.rawValue : MP_REQUEST_FORK.rawValue)
        request.flags = isSpare ? UInt32(MP_REQUEST_SPARE) : 0
        request.tag = tag
        request.launch = launch
        try check(mp_server_request(socket, &request), "asking the fork server for a worker")
    }

    /// Has the workers that are forked from here on know the function that is described in `bytes` bytes at `function` in the arena.
    package func learn(function: UInt64, bytes: UInt64) throws(SystemError) {
        var request = mp_request()
        request.kind = UInt32(MP_REQUEST_LEARN.rawValue)
        request.tag = bytes
        request.launch = function
        try check(mp_server_request(socket, &request), "telling the fork server of a function")
    }

    /// Has the server kill a worker, whose parent it is.
    package func kill(tag: UInt64) throws(SystemError) {
        var request = mp_request()
        request.kind = UInt32(MP_REQUEST_KILL.rawValue)
        request.tag = tag
        try check(mp_server_request(socket, &request), "asking the fork server to end a worker")
    }

    /// Waits for the next reply; nil when the server is gone.
    package func receive() throws(SystemError) -> ForkServerReply? {
        var reply = mp_reply()
        var pidfd: Int32 = -1
        guard try check(mp_server_receive(socket, &reply, &pidfd), "hearing from the fork server") == 1 else { return nil }
        switch reply.kind {
        case UInt32(MP_REPLY_READY.rawValue):
            return reply.error == 0 ? .ready : .failed(SystemError(code: reply.error, call: "mapping the shared memory in the fork server"))
        case UInt32(MP_REPLY_STARTED.rawValue):
            if reply.error != 0 { return .notStarted(tag: reply.tag, SystemError(code: reply.error, call: "forking a worker")) }
            guard pidfd >= 0 else { return .unwatchable(tag: reply.tag) }
            return .started(tag: reply.tag, ProcessDescriptor(owning: pidfd, processIdentifier: reply.pid))
        default:
            return .ended(tag: reply.tag, reply.exited != 0 ? .exited(reply.code) : .signaled(reply.code))
        }
    }

    private func waitForReply(until deadline: Deadline) -> Bool {
        var watched = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        while true {
            let remaining = deadline.remaining
            let n = poll(&watched, 1, remaining < 0 ? -1 : Int32(min(remaining / 1_000_000 + 1, Int64(Int32.max))))
            if n > 0 { return true }
            if n == 0 || errno != EINTR { return false }
        }
    }

    /// Ends the server, and with it every worker it has forked, and waits for that; after two seconds it is killed.
    package func stop() {
        shutdown(socket, Int32(SHUT_RDWR))
        if !process.waitForEnd(milliseconds: 2000) { process.send(signal: SIGKILL) }
        _ = process.reap(wait: true)
    }

    /// In a forked child: lets go of the parent's server, whose end must come when the parent's descriptor closes.
    package func abandonAfterFork() { close(socket) }

    deinit { close(socket) }
}
