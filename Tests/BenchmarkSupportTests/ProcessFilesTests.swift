import BenchmarkSupport
import Testing

@Suite struct ProcessFilesTests {
    @Test func theStateComesAfterTheName() {
        #expect(processState(inStat: "4711 (mpbench) S 1 4711 4711 0 -1") == "S")
        #expect(processState(inStat: "4711 (a) R (b) Z) S 1 4711") == "S")
        #expect(processState(inStat: "nothing of the kind") == nil)
    }

    @Test func theShareOfMemoryIsNeitherOfItsParts() {
        let rollup = """
            55d0-7ffd ---p 00000000 00:00 0                          [rollup]
            Rss:                5432 kB
            Pss:                1891 kB
            Pss_Dirty:          1200 kB
            """
        #expect(proportionalShare(inRollup: rollup) == 1891)
        #expect(proportionalShare(inRollup: "Rss: 5 kB\nPss_Dirty: 7 kB\n") == nil)
    }
}
