import BinaryCoding
import MachineTopology
import SharedState
import SystemLayer
import WorkTransfer

/// Where a worker begins, called from C in a process that the fork server has made: the arena is mapped, signals are at their defaults.
/// - Parameter launch: the place of its ``LaunchBlock``.
@_cdecl("mp_worker_main")
func workerMain(_ launch: UInt64) {
    guard let arena = try? Arena.current() else { ThisProcess.end(code: 125) }
    let launch = LaunchBlock(at: Int(launch), in: arena)
    CurrentProcess.begin(as: launch.identity, in: arena)
    runWorker(launch)
}

/// A worker's whole life, from where it knows which process of the family it is.
/// - Parameter forkedBody: what a child that is a copy of its host runs, in place of a function that is named in the launch.
func runWorker(_ launch: LaunchBlock, forkedBody: ((ByteWriter) throws -> Void)? = nil) -> Never {
    do {
        try launch.settings?.apply()
    } catch {
        launch.report(.notStarted) { ErrorTransfer.encode(error, to: $0) }
        endWorker(code: 1)
    }
    switch LaunchBlock.Role(rawValue: launch.header.pointee.role) {
    case .child: runChild(launch, forkedBody)
    case .poolWorker: PoolWorker(launch).run()
    case nil: ThisProcess.end(code: 125)
    }
}

/// Ends a worker in order: what it has promised to finish (pools of its own that are shut down without waiting) is finished first.
func endWorker(code: Int32) -> Never {
    ExitHooks.run()
    if let arena = try? Arena.current() { ProcessTable.endInOrder(in: arena) }
    ThisProcess.end(code: code)
}

/// Has a worker that ends hold on to shared objects that it has sent. Its host may take them over only after this process has ended, and settles what it held
/// after that: until then they must not go because nothing here asks for them any more.
func keepUntilReclaimed(_ objects: [AnyObject]) {
    for object in objects { _ = Unmanaged.passRetained(object) }
}

extension LaunchBlock {
    /// What the worker is to do to its process, decoded.
    fileprivate var settings: WorkerSettings? {
        get throws {
            guard header.pointee.settingsBytes != 0 else { return nil }
            var reader = ByteReader(memory(header.pointee.settings, header.pointee.settingsBytes))
            return try decodeBinary(from: &reader)
        }
    }

    /// Runs the function that the launch names, with its arguments, and writes what it returns to `result`.
    func invokeFunction(result: ByteWriter) throws(InvocationFailure) {
        let header = header.pointee
        let invocation: any AnyInvocation
        do {
            invocation =
                try Rehearsal.function(at: header.function) ?? resolveInvocation(memory(header.function, header.functionBytes))
        } catch {
            throw .transfer(error as? TransferError ?? .cannotDecode("\(error)"))
        }
        var arguments = ByteReader(memory(header.arguments, header.argumentsBytes))
        try invocation.invoke(arguments: &arguments, result: result)
    }
}

extension InvocationFailure {
    /// The error that the caller is to see.
    var underlying: any Error {
        switch self {
        case .thrown(let error): error
        case .transfer(let error): error
        }
    }
}

/// A child process's whole life: it runs its body and ends. Success is the message, not the exit code.
private func runChild(_ launch: LaunchBlock, _ forkedBody: ((ByteWriter) throws -> Void)?) -> Never {
    var hasFailed = false
    launch.report(.value) { writer in
        do {
            if let forkedBody { try forkedBody(writer) } else { try launch.invokeFunction(result: writer) }
        } catch {
            hasFailed = true
            throw (error as? InvocationFailure)?.underlying ?? error
        }
    }
    endWorker(code: hasFailed ? 1 : 0)
}
