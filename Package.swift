// swift-tools-version: 6.2
import PackageDescription

// Warnings are errors in everything this package owns.
let strictSwift: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]
let strictC: [CSetting] = [
    .treatAllWarnings(as: .error),
    .define("_GNU_SOURCE"),
]

/// A room of the library: its name is its folder below Sources, and it may import only what it lists here.
/// A room with a protocol has a README that states it.
func room(_ name: String, _ below: String..., readme: Bool = true) -> Target {
    .target(
        name: name, dependencies: below.map { .byName(name: $0) }, exclude: readme ? ["README.md"] : [], swiftSettings: strictSwift)
}

/// The tests of one room.
func tests(_ name: String, _ under: String...) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: ([name, "TestSupport"] + under).map { .byName(name: $0) },
        swiftSettings: strictSwift)
}

/// One listing of the tutorial. The shim is there for one thing: the barrier that keeps an optimiser from folding a counting loop away.
func listing(_ name: String) -> Target {
    .executableTarget(
        name: name, dependencies: ["Multiprocessing", "SharedState", "CMultiprocessing"], path: "Sources/Tour/\(name)",
        swiftSettings: strictSwift)
}

/// A program that tests run.
func fixture(_ name: String, _ under: String...) -> Target {
    .executableTarget(
        name: name, dependencies: (["Multiprocessing", "SharedState"] + under).map { .byName(name: $0) }, path: "Tests/Fixtures/\(name)",
        swiftSettings: strictSwift)
}

let package = Package(
    name: "Multiprocessing",
    products: [
        // The rooms whose code is inlined into the user's stand here beside the one that is imported: SwiftPM builds a client anew only when a module changes
        // that its own target, or product, names.
        .library(
            name: "Multiprocessing",
            targets: ["Multiprocessing", "WorkerSupervision", "WorkTransfer", "SharedState", "BinaryCoding", "MachineTopology"])
    ],
    dependencies: [
        // For the benchmark program alone: who depends on the library product never fetches it.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
    ],
    targets: [
        .target(
            name: "CMultiprocessing", path: "CShims", cSettings: strictC,
            linkerSettings: [.linkedLibrary("numa"), .linkedLibrary("dl")]),
        room("SystemLayer", "CMultiprocessing", readme: false),
        room("MachineTopology", "SystemLayer", "CMultiprocessing"),
        room("BinaryCoding"),
        room("SharedState", "BinaryCoding", "SystemLayer", "CMultiprocessing"),
        room("WorkTransfer", "BinaryCoding", "SystemLayer", "CMultiprocessing"),
        room("WorkerSupervision", "WorkTransfer", "SharedState", "BinaryCoding", "MachineTopology", "SystemLayer"),
        room(
            "Multiprocessing", "WorkerSupervision", "WorkTransfer", "SharedState", "BinaryCoding", "MachineTopology", "SystemLayer",
            readme: false),

        .target(
            name: "TestSupport", dependencies: ["SystemLayer"], path: "Tests/TestSupport", swiftSettings: strictSwift),
        tests("SystemLayer"),
        tests("MachineTopology"),
        tests("BinaryCoding"),
        tests("SharedState", "SystemLayer"),
        tests("WorkTransfer", "BinaryCoding", "CMultiprocessing"),
        tests("WorkerSupervision", "WorkTransfer", "SharedState", "SystemLayer"),
        tests("Multiprocessing", "SharedState"),
        // Kills processes at every instruction of what they do to shared memory.
        .target(name: "DeathSupport", path: "Tests/DeathSupport", cSettings: strictC),
        .testTarget(
            name: "DeathTests",
            dependencies: [
                "DeathSupport", "TestSupport", "Multiprocessing", "WorkerSupervision", "SharedState", "BinaryCoding", "SystemLayer",
            ],
            swiftSettings: strictSwift),

        // Programs that the tests run, for what would end or disturb the tests' own process.
        .target(name: "CxxInitialiser", path: "Tests/Fixtures/CxxInitialiser"),
        fixture("HostFixture", "CxxInitialiser"),
        fixture("TopLevelFixture"),
        // What workers' places and memory really are; Tests/EmulatedMachine runs it on machines of several nodes.
        fixture("PlacementFixture"),

        listing("TwoProcesses"),
        listing("PoolApply"),
        listing("PoolApplyAsync"),
        listing("ExecutorMap"),
        listing("ExecutorAsync"),
        listing("RaceWithoutLock"),
        listing("RaceWithLock"),
        listing("SharedCounter"),

        .target(name: "CBaselines", dependencies: ["CMultiprocessing"], path: "Benchmarks/CBaselines", cSettings: strictC),
        .target(name: "BenchmarkSupport", path: "Benchmarks/BenchmarkSupport", swiftSettings: strictSwift),
        .executableTarget(
            name: "mpbench",
            dependencies: [
                "Multiprocessing", "SharedState", "BenchmarkSupport", "CBaselines", "CMultiprocessing",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Benchmarks/mpbench", swiftSettings: strictSwift),
        tests("BenchmarkSupport", "CBaselines", "SharedState"),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu17
)
