/// A processor, and what it has in common with others.
package struct ProcessorPlace: Sendable {
    package let id: Int
    package let core: Int
    package let socket: Int
    package let node: Int
    /// The same number for processors that share the cache next to the core's first; nil where that is not known.
    package let cache: Int?

    package init(id: Int, core: Int, socket: Int, node: Int, cache: Int?) {
        (self.id, self.core, self.socket, self.node, self.cache) = (id, core, socket, node, cache)
    }
}

/// Processors for contenders that are to be near each other, or far: each takes the next one, and after the last the first again.
package struct ContenderPlaces: Equatable, Sendable {
    /// `near` or `far`.
    package let name: String
    package let processors: [Int]

    package init(name: String, processors: [Int]) {
        (self.name, self.processors) = (name, processors)
    }

    /// How many contenders to measure, ascending: 1 to 4, then twice as many each time, up to two for each processor, and one for each processor.
    package var contenders: [Int] {
        let count = processors.count
        var counts = Set((1...4).filter { $0 <= 2 * count }).union([count, 2 * count])
        var next = 8
        while next < 2 * count {
            counts.insert(next)
            next *= 2
        }
        return counts.sorted()
    }

    /// What this machine has: near is within one package and node, hardware threads of one core first, then those that share a cache; far is another package or
    /// node for each. Where all are in one there is no far, and where no two are in one no near.
    package static func all(_ processors: [ProcessorPlace]) -> [ContenderPlaces] {
        let groups = Dictionary(grouping: processors) { [$0.socket, $0.node] }
            .sorted { ($1.value.count, $0.key[0], $0.key[1]) < ($0.value.count, $1.key[0], $1.key[1]) }
            .map { $0.value.sorted { ($0.cache ?? $0.core, $0.core, $0.id) < ($1.cache ?? $1.core, $1.core, $1.id) }.map(\.id) }
        guard let largest = groups.first else { return [] }
        var places: [ContenderPlaces] = []
        if largest.count > 1 || groups.count == 1 { places.append(ContenderPlaces(name: "near", processors: largest)) }
        if groups.count > 1 {
            let rounds = (0..<largest.count).flatMap { turn in groups.compactMap { turn < $0.count ? $0[turn] : nil } }
            places.append(ContenderPlaces(name: "far", processors: rounds))
        }
        return places
    }
}
