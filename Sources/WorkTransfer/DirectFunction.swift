// ABI: functions as generic code calls them. They differ from invocations in that their types need not be Codable, so that a call asks for no conformance.

/// A function of a pack of parameters.
struct Direct<each Argument, Output> {
    private let function: @Sendable (repeat each Argument) throws -> Output

    init(_ words: FunctionWords) { self = withUnsafeBytes(of: words) { $0.load(as: Self.self) } }

    func call(_ argument: repeat each Argument) throws -> Output { try function(repeat each argument) }
}

/// The same without a result.
struct DirectVoid<each Argument> {
    private let function: @Sendable (repeat each Argument) throws -> Void

    init(_ words: FunctionWords) { self = withUnsafeBytes(of: words) { $0.load(as: Self.self) } }

    func call(_ argument: repeat each Argument) throws { try function(repeat each argument) }
}

// The formatter would take the empty list for an operator.
// swift-format-ignore
typealias DirectNone = DirectVoid< >

/// A function of one parameter that is no pack.
struct DirectUnary<Argument, Output> {
    private let function: @Sendable (Argument) throws -> Output

    init(_ words: FunctionWords) { self = withUnsafeBytes(of: words) { $0.load(as: Self.self) } }

    func call(_ argument: Argument) throws -> Output { try function(argument) }
}

/// The same without a result.
struct DirectUnaryVoid<Argument> {
    private let function: @Sendable (Argument) throws -> Void

    init(_ words: FunctionWords) { self = withUnsafeBytes(of: words) { $0.load(as: Self.self) } }

    func call(_ argument: Argument) throws { try function(argument) }
}
