import Multiprocessing
import SharedState
import TestSupport
import Testing

extension PublicInterface {
    /// Shared objects that were made by a process which has ended when they are looked at.
    @Suite struct SentObjectsTests {
        @Test(arguments: StartMethod.all) func aChildsResult(method: StartMethod) throws {
            let arena = try Arena.current()
            let before = arena.objectsInUse
            do {
                let one = ChildProcess(7, configuration: .init(method)) { try SharedValue<Int>($0) }
                let several = ChildProcess(7, configuration: .init(method)) { n in try (0..<n).map { try SharedValue<Int>($0) } }
                try one.start()
                try several.start()
                try one.join()
                try several.join()
                #expect(try one.result().value == 7)
                #expect(try several.result().map(\.value) == Array(0..<7))
            }
            #expect(eventually { arena.objectsInUse <= before }, "\(arena.objectsInUse) objects, \(before) before")
        }

        @Test func throughGenerations() throws {
            let arena = try Arena.current()
            let before = arena.objectsInUse
            #expect(try makeInDescendant(2).value == 7)
            #expect(eventually { arena.objectsInUse <= before }, "\(arena.objectsInUse) objects, \(before) before")
        }

        @Test(arguments: StartMethod.all) func inErrors(method: StartMethod) throws {
            let arena = try Arena.current()
            let before = arena.objectsInUse
            do {
                let child = ChildProcess(8, configuration: .init(method), body: complain)
                try child.start()
                #expect(try errorThrown(Complaint.self) { try child.result() }.evidence.value == 8)
                try withPool(processes: 1, configuration: .init(method)) { pool in
                    for n in 0..<3 {
                        let error = try errorThrown(Complaint.self) { try pool.apply(complain, n) }
                        try pool.apply(doNothing)
                        #expect(error.evidence.value == n)
                    }
                }
            }
            #expect(eventually { arena.objectsInUse <= before }, "\(arena.objectsInUse) objects, \(before) before")
        }
    }
}

private struct Complaint: Error, Codable {
    let evidence: SharedValue<Int>
}

@Sendable private func complain(_ n: Int) throws { throw Complaint(evidence: try SharedValue(n)) }

@Sendable private func makeInDescendant(_ generations: Int) throws -> SharedValue<Int> {
    if generations == 0 { return try SharedValue(7) }
    let child = ChildProcess(makeInDescendant, generations - 1)
    try child.start()
    return try child.result()
}
