/// The processors that each of `workers` workers may run on, in the workers' order; nil for a worker that is not pinned.
///
/// Which order that is, README.md defines. A worker's place does not depend on how many there are, so that one which is
/// replaced, or added later, finds its own again. Costs a sort of the machine's processors; no system calls.
package func placements(for pinning: Pinning, workers: Int, on machine: Machine) throws(PlacementError) -> [[Int]?] {
    guard workers >= 1 else {
        throw PlacementError(asked: "to place \(workers) workers", found: "at least one is needed", advice: "Ask for 1 or more workers.")
    }
    let choices: [[Int]?] =
        switch pinning {
        case .none: [nil]
        case .compact: compactOrder(machine.usableProcessors).map { [$0] }
        case .spread: spreadOrder(machine.usableProcessors).map { [$0] }
        case .cpus(let ids): try checked(processors: ids, on: machine).map { [$0] }
        case .nodes(let ids): try checked(nodes: ids, on: machine)
        }
    return (0..<workers).map { choices[$0 % choices.count] }
}

extension Machine {
    /// The available processors with their places; at least one.
    fileprivate var usableProcessors: [Processor] {
        let available = Set(availableProcessors)
        let usable = processors.filter { available.contains($0.id) }
        // A mask may name processors that /sys does not show, where that is hidden from a sandbox.
        return usable.isEmpty
            ? availableProcessors.map {
                Processor(id: $0, core: $0, package: 0, node: 0, caches: [], efficiencyClass: 0, isOnline: true)
            } : usable
    }
}

extension Machine.Processor {
    /// Where it is, from the widest neighbourhood to the narrowest: the more leading numbers two processors have in common, the
    /// nearer they are. Faster kinds have smaller numbers, so that they come first.
    fileprivate var place: [Int] {
        // A cache is told by the first processor that uses it. Levels that a processor lacks must not shift the others.
        let domains = (2...4).reversed().map { level in
            caches.first { $0.level == level && $0.kind != .instruction }?.sharedBy.first ?? 0
        }
        return [package, node, -efficiencyClass] + domains + [core, id]
    }
}

private func compactOrder(_ processors: [Machine.Processor]) -> [Int] {
    processors.map { (id: $0.id, place: $0.place) }.sorted { $0.place.lexicographicallyPrecedes($1.place) }.map(\.id)
}

private func spreadOrder(_ processors: [Machine.Processor]) -> [Int] {
    // The first available hardware threads of all cores are one round, the second ones the next. Within a round faster kinds
    // come first: a distant slow processor is no gain over a near fast one.
    var seen: [Int: Int] = [:]
    var rounds: [[Int]: [[Int]]] = [:]
    for processor in processors.sorted(by: { $0.id < $1.id }) {
        let thread = seen[processor.core, default: 0]
        seen[processor.core] = thread + 1
        rounds[[thread, -processor.efficiencyClass], default: []].append(processor.place)
    }
    return rounds.sorted { $0.key.lexicographicallyPrecedes($1.key) }
        .flatMap { interleaved($0.value.sorted { $0.lexicographicallyPrecedes($1) }, at: 0) }
        .compactMap(\.last)
}

/// Takes from each neighbourhood at this depth in turn, and in each of them likewise from those within. `places` are sorted.
private func interleaved(_ places: [[Int]], at depth: Int) -> [[Int]] {
    guard places.count > 1, depth < places[0].count else { return places }
    var groups: [[[Int]]] = []
    for place in places {
        if let last = groups.last, last[0][depth] == place[depth] {
            groups[groups.count - 1].append(place)
        } else {
            groups.append([place])
        }
    }
    let orders = groups.map { interleaved($0, at: depth + 1) }
    let longest = orders.map(\.count).max() ?? 0
    return (0..<longest).flatMap { turn in orders.compactMap { turn < $0.count ? $0[turn] : nil } }
}

/// The processors, if each of them exists and may be used.
private func checked(processors ids: [Int], on machine: Machine) throws(PlacementError) -> [Int] {
    let choice = "Choose among processors \(IDList.text(machine.availableProcessors)), or use .compact or .spread."
    guard !ids.isEmpty else {
        throw PlacementError(asked: "to pin workers to an empty list of processors", found: "each worker needs one", advice: choice)
    }
    let available = Set(machine.availableProcessors)
    let refused = ids.filter { !available.contains($0) }
    if refused.isEmpty { return ids }

    let online = machine.processors.filter(\.isOnline).map(\.id)
    let known = Set(machine.processors.map(\.id))
    let found =
        if let unknown = refused.first(where: { !known.contains($0) }) {
            "there is no processor \(unknown): this machine has processors \(IDList.text(Array(known)))"
        } else if let offline = refused.first(where: { !online.contains($0) }) {
            "processor \(offline) is offline"
        } else {
            "this process may only use processors \(IDList.text(machine.availableProcessors)) (affinity mask or container)"
        }
    throw PlacementError(asked: "to pin workers to \(processorText(ids))", found: found, advice: choice)
}

/// The available processors of each of the nodes, if each of them exists and has one.
private func checked(nodes ids: [Int], on machine: Machine) throws(PlacementError) -> [[Int]] {
    let available = Set(machine.availableProcessors)
    let processors = Dictionary(
        machine.nodes.map { ($0.id, $0.processors.filter { available.contains($0) }) }, uniquingKeysWith: { first, _ in first })
    let usable = processors.filter { !$0.value.isEmpty }.map(\.key)
    let choice = "Choose among nodes \(IDList.text(usable)), or use .spread."
    guard !ids.isEmpty else {
        throw PlacementError(asked: "to pin workers to an empty list of nodes", found: "each worker needs one", advice: choice)
    }
    var choices: [[Int]] = []
    for id in ids {
        guard let usableOnes = processors[id] else {
            let all = IDList.text(Array(processors.keys))
            throw PlacementError(
                asked: "to pin workers to node \(id)", found: "there is no such node: this machine has nodes \(all)", advice: choice)
        }
        if usableOnes.isEmpty {
            throw PlacementError(
                asked: "to pin workers to node \(id)", found: "this process may use none of that node's processors", advice: choice)
        }
        choices.append(usableOnes)
    }
    return choices
}
