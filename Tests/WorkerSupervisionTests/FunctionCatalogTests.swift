import SharedState
import SystemLayer
import TestSupport
import Testing
import WorkTransfer

@testable import WorkerSupervision

@Suite struct FunctionCatalogTests {
    private let arena: Arena

    init() throws { arena = try Arena.current() }

    private func place(_ invocation: some HostInvocation) throws -> Int { try FunctionCatalog.entry(for: invocation, in: arena).offset }

    @Test func aFunctionIsDescribedOnce() throws {
        let literal: @Sendable (Int) -> Int = { $0 + 1 }
        let variable = opaque(literal)
        for invocation in [Invocation(literal), Invocation(variable), Invocation { (n: Int) in n + 2 }] {
            let entry = try FunctionCatalog.entry(for: invocation, in: arena)
            for _ in 0..<3 { #expect(try place(invocation) == entry.offset) }
            let bytes = UnsafeRawBufferPointer(start: arena.base + entry.offset, count: entry.size)
            #expect(try Array(bytes) == invocation.describe())
        }
        // Each time a box of its own is made on the heap; the function in them is one.
        #expect(try Set((0..<3).map { _ in try place(Invocation(variable)) }).count == 1)
    }

    @Test func namesAreFoundByThePlace() throws {
        let variable: @Sendable (Int) -> Int = opaque(named)
        for invocation in [Invocation(named), Invocation(variable)] {
            let entry = try FunctionCatalog.entry(for: invocation, in: arena)
            for _ in 0..<2 { #expect(FunctionCatalog.functionName(of: entry, in: arena) == "WorkerSupervisionTests.named(Int) -> Int") }
        }
    }

    @Test func differentFunctionsAreToldApart() throws {
        func echo<T: Codable & Sendable>(_ type: T.Type) throws -> [Int] {
            let echo: @Sendable (T) -> T = { $0 }
            return try [place(Invocation(echo)), place(UnaryInvocation(echo)), place(Invocation(opaque(echo)))]
        }
        // The code may be one, as it does the same.
        var places = try echo(Int.self) + echo(UInt.self) + echo(String.self) + echo([Int].self)
        places.append(try place(Invocation { (a: Int, b: Int) in a }))
        places.append(try place(Invocation { (a: Int, b: Int) in b }))
        places.append(try place(VoidInvocation { (a: Int, b: Int) in }))
        places.append(try place(UnaryVoidInvocation { (a: Int) in }))
        places.append(try place(VoidInvocation { (a: Int) in }))
        places.append(try place(Invocation { 1 }))
        places.append(try place(VoidInvocation {}))
        #expect(Set(places).count == places.count)
    }

    /// More types than a key has room for.
    @Test func longSignatures() throws {
        let long = Invocation { (a: Int, b: Int, c: Int, d: Int, e: Int, f: Int, g: Int, h: Int) in a }
        let other = Invocation { (a: Int, b: Int, c: Int, d: Int, e: Int, f: Int, g: Int, h: UInt) in a }
        #expect(long.key == nil)
        #expect(try place(long) == place(long))
        #expect(try place(long) != place(other))
        #expect(Invocation { (a: Int, b: Int, c: Int, d: Int, e: Int) in a }.key != nil)
    }

    @Test func whatCapturesIsRefusedEachTime() throws {
        let number = opaque(5)
        let capturing = Invocation { (n: Int) in n + number }
        #expect(capturing.key == nil)
        for _ in 0..<2 { #expect(throws: TransferError.self) { try place(capturing) } }
    }

    @Test func threadsFindOneAnothersEntries() async throws {
        let function: @Sendable (UInt16) -> UInt16 = { $0 &+ 1 }
        let places = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var last = 0
                    for _ in 0..<2000 { last = try FunctionCatalog.entry(for: Invocation(function), in: Arena.current()).offset }
                    return last
                }
            }
            return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
        }
        #expect(places.count == 1)
    }

    /// The blocks of the parent go when it does.
    @Test func aForkedChildStartsOver() throws {
        let known = Invocation { (n: Int8) in n }
        let before = try place(known)
        let identity = try ProcessTable.enter(parent: CurrentProcess.identity(in: arena), in: arena)
        guard let child = try ForkGuard.fork(as: identity, in: arena).get() else {
            let own = try? place(known)
            let again = try? place(known)
            ThisProcess.end(code: own != nil && own != before && own == again ? 0 : 1)
        }
        #expect(child.reap(wait: true) == .exited(0))
        ProcessTable.reclaim(identity, in: arena)
        #expect(try place(known) == before)
    }
}

func named(_ n: Int) -> Int { n }

/// Keeps the optimiser from seeing that a value is a known function.
@inline(never) private func opaque<T>(_ value: T) -> T { value }
