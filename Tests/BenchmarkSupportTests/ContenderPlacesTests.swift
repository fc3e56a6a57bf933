import BenchmarkSupport
import Testing

@Suite struct ContenderPlacesTests {
    @Test func oneSocketHasNoFar() {
        let places = ContenderPlaces.all((0..<2).map { ProcessorPlace(id: $0, core: $0, socket: 0, node: 0, cache: nil) })
        #expect(places == [ContenderPlaces(name: "near", processors: [0, 1])])
    }

    @Test func nearGoesThroughCoresAndCachesFirst() {
        // Threads of a core as many machines number them, 0 and 4, 1 and 5; cores 0 and 2 share a cache.
        let cores = [0, 1, 2, 3, 0, 1, 2, 3]
        let processors = cores.enumerated().map { ProcessorPlace(id: $0, core: $1, socket: 0, node: 0, cache: $1 % 2) }
        #expect(ContenderPlaces.all(processors).map(\.processors) == [[0, 4, 2, 6, 1, 5, 3, 7]])
    }

    @Test func farGoesFromSocketToSocket() {
        let processors = (0..<6).map { ProcessorPlace(id: $0, core: $0, socket: $0 / 3, node: $0 / 3, cache: $0) }
        #expect(
            ContenderPlaces.all(processors) == [
                ContenderPlaces(name: "near", processors: [0, 1, 2]), ContenderPlaces(name: "far", processors: [0, 3, 1, 4, 2, 5]),
            ])
    }

    @Test func aProcessorOnEachSocketHasNoNear() {
        let places = ContenderPlaces.all((0..<2).map { ProcessorPlace(id: $0, core: $0, socket: $0, node: $0, cache: $0) })
        #expect(places.map(\.name) == ["far"])
    }

    @Test func contendersGoUpToTwoForEachProcessor() {
        #expect(ContenderPlaces(name: "near", processors: [0]).contenders == [1, 2])
        #expect(ContenderPlaces(name: "near", processors: [0, 1]).contenders == [1, 2, 3, 4])
        #expect(ContenderPlaces(name: "near", processors: Array(0..<6)).contenders == [1, 2, 3, 4, 6, 8, 12])
    }
}
