import Testing

@testable import MachineTopology

@Suite struct IDListTests {
    @Test(arguments: [
        ("", []), ("\n", []), ("0\n", [0]), ("0-3,8,10-11", [0, 1, 2, 3, 8, 10, 11]), ("5,1-2,2", [1, 2, 5]),
        ("2047", [2047]),
    ])
    func readsWhatTheKernelWrites(text: String, ids: [Int]) {
        #expect(IDList.parse(text) == ids)
    }

    @Test(arguments: ["a", "3-1", "1-2-3", "-1", "1,", ",", "1 2", "0-99999999999999", "99999999999999999999"])
    func refusesWhatIsNoList(text: String) {
        #expect(IDList.parse(text) == nil)
    }

    @Test func writesTheShortestList() {
        #expect(IDList.text([11, 0, 1, 3, 2, 8, 10, 1]) == "0-3,8,10-11")
        #expect(IDList.text([]) == "")
    }
}
