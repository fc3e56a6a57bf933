import BinaryCoding
import WorkTransfer

// MARK: Functions and types of every kind, each of which must travel

func addOne(_ n: Int) -> Int { n + 1 }
func addTwo(_ n: Int) -> Int { n + 2 }
func doNothing() {}
private func privatelyDouble(_ n: Int) -> Int { n * 2 }
func join(_ a: String, _ b: Int, _ c: [Double]) throws -> String { "\(a) \(b) \(c)" }
func identity<T: Codable & Sendable>(_ value: T) -> T { value }
func noArguments() -> String { "none" }
@MainActor func onMainActor() -> Int { 8 }

struct Point: Codable, Sendable, Equatable {
    var x: Int
    static func make(_ x: Int) -> Point { Point(x: x) }
}
private struct Hidden: Codable, Sendable, Equatable {
    var text: String
    fileprivate struct Deeper<T: Codable & Sendable & Equatable>: Codable, Sendable, Equatable { var value: T }
}
private enum Choice: Codable, Sendable, Equatable { case number(Int), none }
private enum Phantom<T>: Codable, Sendable { case only }
private struct Several<each T: Codable & Sendable>: Codable, Sendable { var count: Int }
// The formatter would take the empty list for an operator.
// swift-format-ignore
private typealias NoElements = Several< >
// swift-format-ignore
private typealias NoArguments = VoidInvocation< >
private protocol Secret {}
final class Node: Codable, Sendable {
    let value: Int
    init(_ value: Int) { self.value = value }
    static func value(of node: Node) -> Int { node.value }
}
private final class Cell<T: Codable & Sendable>: Codable, Sendable {
    let value: T
    init(_ value: T) { self.value = value }
}
struct Outer<A: Codable & Sendable>: Codable, Sendable {
    struct Inner<B: Codable & Sendable>: Codable, Sendable {
        var a: A
        var b: B
    }
}
protocol Zero: Codable, Sendable { static var zero: Self { get } }
extension Int: Zero {}
extension Array: Zero where Element: Zero { static var zero: [Element] { [.zero] } }

struct Sample: Sendable {
    let name: String
    let invocation: any HostInvocation & Sendable
    let encode: @Sendable (ByteWriter) throws -> Void
    /// Whether the bytes of the result are those expected.
    let check: @Sendable (inout ByteReader) throws -> Bool
}

/// Keeps the optimiser from seeing that a value is a known function.
@inline(never) func opaque<T>(_ value: T) -> T { value }

func sample<each A: Codable & Sendable, R: Codable & Sendable>(
    _ name: String, _ function: @escaping @Sendable (repeat each A) throws -> R, _ argument: repeat each A,
    is expected: @escaping @Sendable (R) -> Bool
) -> Sample {
    Sample(
        name: name, invocation: Invocation(function),
        encode: { try Invocation<repeat each A, R>.encodeArguments(repeat each argument, to: $0) },
        check: { expected(try Invocation<repeat each A, R>.decodeOutput(from: &$0)) })
}

/// As `map` does it: one parameter, which is no pack, so that a generic thunk lies around the function.
func unary<A: Codable & Sendable, R: Codable & Sendable & Equatable>(
    _ name: String, _ function: @escaping @Sendable (A) throws -> R, _ argument: A, is expected: R
) -> Sample {
    Sample(
        name: name, invocation: Invocation(function), encode: { try Invocation<A, R>.encodeArguments(argument, to: $0) },
        check: { try Invocation<A, R>.decodeOutput(from: &$0) == expected })
}

func literals<T: Zero & Equatable>(inGenericFunctionOf type: T.Type) -> [Sample] {
    [
        sample("literal in a generic function, \(type)", { T.zero }) { $0 == T.zero },
        unary("the same for map, \(type)", { (value: T) in [value, T.zero] }, T.zero, is: [T.zero, T.zero]),
    ]
}

/// The conformances of the element are part of the generic context, without the element's type being so.
func literals<C: Collection & Codable & Sendable>(inGenericFunctionOf collection: C) -> [Sample]
where C.Element: Codable & Sendable & Equatable {
    let first = collection.first
    return [
        sample("literal with an associated type, \(C.self)", { (c: C) in c.first }, collection) { $0 == first },
        unary("the same for map, \(C.self)", { (c: C) in c.first }, collection, is: first),
    ]
}

func samples() -> [Sample] {
    struct Local: Codable, Sendable, Equatable { var n: Int }
    @Sendable func nested(_ n: Int) -> Int { n + 3 }
    let variable: @Sendable (Int) -> Int = opaque(addOne)
    let several: [@Sendable (Int) -> Int] = opaque([addOne, { $0 * 10 }, privatelyDouble, nested])
    let tenfold: @Sendable (Int) -> Int = opaque({ @Sendable (n: Int) -> Int in n * 10 })
    let castTwice = variable as @Sendable (Int) throws -> Int
    var all = [
        sample("literal", { (n: Int) in n + 1 }, 4) { $0 == 5 },
        sample("literal, no arguments", { 42 }) { $0 == 42 },
        sample("reference", addOne, 4) { $0 == 5 },
        sample("private reference", privatelyDouble, 4) { $0 == 8 },
        sample("three arguments", join, "a", 1, [2.5]) { $0 == "a 1 [2.5]" },
        sample("no arguments", noArguments) { $0 == "none" },
        sample("nested function", nested, 4) { $0 == 7 },
        sample("variable", variable, 4) { $0 == 5 },
        sample("variable, cast", castTwice, 4) { $0 == 5 },
        sample("closure that captures functions alone", { (n: Int) in variable(n) + tenfold(n) }, 4) { $0 == 45 },
        sample("generic reference", identity as @Sendable (Int) -> Int, 4) { $0 == 4 },
        sample("generic reference, private type", identity as @Sendable (Hidden) -> Hidden, Hidden(text: "h")) { $0 == Hidden(text: "h") },
        sample("static method", Point.make, 4) { $0 == Point(x: 4) },
        sample("static method of a class", Node.value(of:), Node(6)) { $0 == 6 },
        sample("initialiser", Point.init(x:) as @Sendable (Int) -> Point, 4) { $0 == Point(x: 4) },
        sample("enum case", Choice.number, 4) { $0 == .number(4) },
        sample("private struct", { (h: Hidden) in Hidden(text: h.text + "!") }, Hidden(text: "h")) { $0 == Hidden(text: "h!") },
        sample("local struct", { (l: Local) in Local(n: l.n + 1) }, Local(n: 1)) { $0 == Local(n: 2) },
        sample("array of private", { (h: [Hidden]) in h.count }, [Hidden(text: "h")]) { $0 == 1 },
        sample("dictionary and optional of local", { (l: [String: Local]) in l["a"] }, ["a": Local(n: 3)]) { $0 == Local(n: 3) },
        sample("private generic of private", { (d: Hidden.Deeper<Choice?>) in d }, Hidden.Deeper(value: Choice.number(2))) {
            $0.value == .number(2)
        },
        sample("phantom tuple of private", { (p: Phantom<(Hidden, b: Int)>) in 1 }, .only) { $0 == 1 },
        sample("phantom function of private", { (p: Phantom<@Sendable (Hidden, Int) throws -> Choice>) in 1 }, .only) { $0 == 1 },
        sample("phantom function", { (p: Phantom<() async -> Void>) in 1 }, .only) { $0 == 1 },
        sample("phantom existential", { (p: Phantom<any Secret & Sendable>) in 1 }, .only) { $0 == 1 },
        sample("phantom any, error, metatype", { (p: Phantom<(Any, any Error, Hidden.Type, any Secret.Type, AnyObject)>) in 1 }, .only) {
            $0 == 1
        },
        sample("phantom empty tuple", { (p: Phantom<()>) in 1 }, .only) { $0 == 1 },
        sample("private pack", { (p: Several<Int, Hidden>) in p.count }, Several<Int, Hidden>(count: 2)) { $0 == 2 },
        sample("empty pack", { (p: NoElements) in p.count }, NoElements(count: 2)) { $0 == 2 },
        sample("private generic class", { (c: Cell<Hidden>) in c.value }, Cell(Hidden(text: "c"))) { $0 == Hidden(text: "c") },
        sample("generic in generic", { (i: Outer<Int>.Inner<Hidden>) in i.b }, Outer<Int>.Inner(a: 1, b: Hidden(text: "i"))) {
            $0.text == "i"
        },
        sample("SIMD, Duration", { (v: SIMD4<Float>, d: Duration) in v.x }, [1, 2, 3, 4], .seconds(1)) { $0 == 1 },
        unary("map of a literal", { (n: Int) in n + 1 }, 4, is: 5),
        unary("map of a reference", addOne, 4, is: 5),
        unary("map of a variable", variable, 4, is: 5),
        unary("map, private types", { (h: [Hidden]) in Choice.number(h.count) }, [Hidden(text: "")], is: .number(1)),
        Sample(
            name: "void", invocation: VoidInvocation(doNothing), encode: { try NoArguments.encodeArguments(to: $0) },
            check: { _ in true }),
        Sample(
            name: "void with an argument", invocation: VoidInvocation({ (h: Hidden) in precondition(h.text == "v") }),
            encode: { try VoidInvocation<Hidden>.encodeArguments(Hidden(text: "v"), to: $0) }, check: { $0.remaining == 0 }),
    ]
    for (index, function) in several.enumerated() {
        let expected = [5, 40, 8, 7][index]
        all.append(sample("array element \(index)", function, 4) { $0 == expected })
        all.append(unary("array element \(index), map", function, 4, is: expected))
    }
    all += literals(inGenericFunctionOf: Int.self)
    all += literals(inGenericFunctionOf: [[Int]].self)
    all += literals(inGenericFunctionOf: [1, 2])
    all += literals(inGenericFunctionOf: [Hidden(text: "first")])
    all += literals(inGenericFunctionOf: [[Hidden(text: "first")]])
    return all
}
