import Glibc

/// A program of this package that a test runs, or this one anew: for what would end or disturb the test's own process, or needs one that has done nothing yet.
package final class Program: @unchecked Sendable {
    // Unchecked: used by one thread at a time.
    package let pid: Int32
    private let output: UnsafeMutablePointer<FILE>
    private let marker: String
    private let hasGroup: Bool
    private var ending: Int32?

    /// Starts the program `name`, which lies beside the test bundle, in a process group of its own, and with little of this one's environment.
    package convenience init(_ name: String, _ arguments: String..., environment: [String: String] = [:]) throws {
        try self.init(name, arguments, environment: environment)
    }

    /// The same with a list of arguments.
    package convenience init(_ name: String, _ arguments: [String], environment: [String: String] = [:]) throws {
        var variables = environment.map { "\($0)=\($1)" }
        for name in ["PATH", "HOME", "LD_LIBRARY_PATH"] {
            if let value = getenv(name) { variables.append("\(name)=\(String(cString: value))") }
        }
        variables.append("SWIFT_BACKTRACE=enable=no")
        let path = Self.path(of: name)
        // Programs that are made to crash say so at length.
        try self.init(path: path, [path] + arguments, variables, hasGroup: true, errors: "/dev/null")
    }

    /// Starts this test program anew, with this one's environment and `variable`, to run the test `filter` alone. What it prints to either stream is its output.
    package convenience init(anewFor filter: String, variable: String) throws {
        var variables = [variable]
        var entry = environ
        while let pointer = entry.pointee {
            variables.append(String(cString: pointer))
            entry += 1
        }
        let arguments = ["tests-anew", "--testing-library", "swift-testing", "--filter", filter]
        try self.init(path: "/proc/self/exe", arguments, variables, hasGroup: false, errors: nil)
    }

    /// - Parameters:
    ///   - hasGroup: whether it is the first in a process group of its own.
    ///   - errors: the file that its second stream goes to; nil: to where the first goes.
    private init(path: String, _ words: [String], _ variables: [String], hasGroup: Bool, errors: String?) throws {
        self.hasGroup = hasGroup
        marker = "MP_TEST_PROGRAM=\(getpid())-\(UInt64.random(in: 0 ... .max))"
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0, let stream = fdopen(ends[0], "r") else { throw ProgramError(text: "no pipe") }
        output = stream
        // Between the two calls another thread may start a process, which then keeps an end open until it ends: the test that reads waits longer.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        if let errors {
            posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY, 0)
        } else {
            posix_spawn_file_actions_adddup2(&actions, 1, 2)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        posix_spawnattr_setpgroup(&attributes, 0)
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        // Tests that run in the background of a shell were told to ignore Ctrl-C, and this is inherited.
        for signal in [SIGINT, SIGQUIT, SIGHUP, SIGTERM] { sigaddset(&signals, signal) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        let group = hasGroup ? POSIX_SPAWN_SETPGROUP : 0
        posix_spawnattr_setflags(&attributes, Int16(group | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
            close(ends[1])
        }
        let words = words.map { strdup($0) } + [nil]
        let environment = ([marker] + variables).map { strdup($0) } + [nil]
        defer { for word in words + environment { free(word) } }
        var pid: pid_t = 0
        let error = posix_spawn(&pid, path, &actions, &attributes, words, environment)
        self.pid = pid
        guard error == 0 else { throw ProgramError(text: "\(path) does not start: \(String(cString: strerror(error)))") }
    }

    deinit {
        // Once it has been waited for, its number may be another's; that of its group is not while one of the group lives.
        if hasGroup { kill(-pid, SIGKILL) } else if ending == nil { kill(pid, SIGKILL) }
        _ = wait()
        fclose(output)
    }

    package static func path(of name: String) -> String {
        let image = linkTarget("/proc/self/exe") ?? ""
        // Where the test runner is another program that loads the tests, the programs lie beside what it was given.
        let folders = [image] + CommandLine.arguments
        for file in folders {
            guard let slash = file.lastIndex(of: "/") else { continue }
            let path = "\(file[..<slash])/\(name)"
            if access(path, X_OK) == 0 { return path }
        }
        return ".build/debug/\(name)"
    }

    /// The next line that it prints; nil when it, and whoever shares its output, has ended.
    package func readLine() -> String? {
        var line: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(line) }
        let n = getline(&line, &capacity, output)
        guard n > 0, let line else { return nil }
        return String(cString: line).trimmingSuffix("\n")
    }

    /// All that it still prints.
    package func readRest() -> [String] {
        var lines: [String] = []
        while let line = readLine() { lines.append(line) }
        return lines
    }

    /// Waits for its end; the exit code, or the signal's number as a negative one.
    @discardableResult
    package func wait() -> Int32 {
        if let ending { return ending }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 { if errno != EINTR { return 127 } }
        let code = status & 0x7f == 0 ? (status >> 8) & 0xff : -(status & 0x7f)
        ending = code
        return code
    }

    package func send(_ signal: Int32) { kill(pid, signal) }
    /// As the terminal does it: to all that are in its group.
    package func pressControlC() { kill(-pid, SIGINT) }

    /// It and all that it has started, also those that have been given other parents since.
    package var family: [ProcessEntry] { ProcessEntry.all(withEnvironment: marker) }
}

package struct ProgramError: Error { package let text: String }

extension String {
    fileprivate func trimmingSuffix(_ suffix: String) -> String { hasSuffix(suffix) ? String(dropLast(suffix.count)) : self }
}
