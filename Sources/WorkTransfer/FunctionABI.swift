import BinaryCoding

/// The compiler lays out functions or types differently from what this module relies on.
package struct FunctionABIMismatch: Error, CustomStringConvertible {
    /// Which of the facts of README.md no longer holds.
    package let description: String
}

/// Checks all that this module relies on and no compiler promises: run by the tests, so that a compiler that changes it is noticed at once, and by
/// whoever doubts. Throws ``FunctionABIMismatch``, or what first went wrong. Costs some milliseconds.
package func verifyFunctionABI() throws {
    try verifyFunctionValues()
    try verifyThunks()
    try verifyDirectCalls()
    try verifyRefusals()
    try verifyTypeNames()
}

private func check(_ holds: Bool, _ fact: @autoclosure () -> String) throws(FunctionABIMismatch) {
    guard holds else { throw FunctionABIMismatch(description: fact()) }
}

// The formatter would take the empty list for an operator.
// swift-format-ignore
private typealias NoArguments = VoidInvocation< >

/// Keeps the optimiser from knowing what a value is.
@inline(never) @_optimize(none) private func opaque<T>(_ value: T) -> T { value }

@Sendable private func successor(_ n: Int) -> Int { n + 1 }

@inline(never) @_optimize(none) private func generic<T: Codable & Sendable>(_ function: @escaping @Sendable (T) throws -> T) -> Invocation<
    T, T
> { Invocation(function) }

private func verifyFunctionValues() throws {
    try check(
        MemoryLayout<Invocation<Int, String, Bool>>.size == MemoryLayout<FunctionWords>.size, "an invocation is a function value: two words"
    )
    try check(MemoryLayout<NoArguments>.size == MemoryLayout<FunctionWords>.size, "a void invocation is a function value: two words")
    let literal = Invocation({ (n: Int, text: String) in text.utf8.count + n })
    try check(literal.words.context == 0, "a closure literal that captures nothing has no context, through parameter packs too")
    try check(
        VoidInvocation({ (n: Int) in }).words.context == 0, "a closure literal that captures nothing has no context, without a result too")
}

private func verifyThunks() throws {
    let variable: @Sendable (Int) -> Int = opaque(successor)
    let wrapped = Invocation(variable)
    guard let context = UnsafeRawPointer(bitPattern: wrapped.words.context) else {
        throw FunctionABIMismatch(description: "a function value from a variable is wrapped in a thunk, whose box is its context")
    }
    try check(try ThunkBox(context).shape == .init(types: 0, witnessTables: 0, functions: 1), "a thunk's box holds one function")
    let unary = generic(variable)
    guard let context = UnsafeRawPointer(bitPattern: unary.words.context) else {
        throw FunctionABIMismatch(description: "a generic function value is wrapped in a thunk, whose box is its context")
    }
    let box = try ThunkBox(context)
    try check(box.shape.functions == 1 && box.shape.types == 1, "a generic thunk's box holds one function and the metadata of its type")
    try check(TypeMetadata(box.type(0)).type == Int.self, "type metadata is the first word of a generic thunk's box")
    for index in 0..<box.shape.witnessTables {
        let table = WitnessTable(address: box.witnessTable(index))
        try check(table.belongs(to: Int.self), "witness tables follow the type metadata in a generic thunk's box")
    }
    for invocation in [wrapped, unary] {
        let description = try invocation.describe()
        guard let again = try description.withUnsafeBytes({ try rebuildInvocation($0) }) as? Invocation<Int, Int> else {
            throw FunctionABIMismatch(description: "an invocation's type resolves to itself")
        }
        let function: @Sendable (Int) throws -> Int = again.function
        try check(try function(41) == 42, "a function made from its description does what the original does")
    }
}

/// Functions are called with cells in the place of values of several sizes, and so that the places of arguments, result and error all differ.
private func verifyDirectCalls() throws {
    struct Thrown: Error {}
    for (size, alignment) in [
        (MemoryLayout<Int128>.size, MemoryLayout<Int128>.alignment), (MemoryLayout<String>.size, MemoryLayout<String>.alignment),
    ] {
        try check(
            size <= MemoryLayout<LeafCell>.size && alignment <= MemoryLayout<LeafCell>.alignment, "a cell has room for every leaf, aligned")
    }
    let text = opaque("long enough to lie on the heap")
    let arguments = HeapByteWriter()
    try encodeBinary(Int128.min, to: arguments)
    try encodeBinary(text, to: arguments)
    try encodeBinary(true, to: arguments)
    func output(_ invocation: some HostInvocation) throws -> [UInt8] {
        let resolved = try invocation.describe().withUnsafeBytes { try resolveInvocation($0) }
        try check(resolved.isDirect, "functions of leaf values are called directly")
        var reader = ByteReader(arguments.written)
        let result = HeapByteWriter()
        try resolved.invoke(arguments: &reader, result: result)
        return result.bytes
    }
    let echo = HeapByteWriter()
    try encodeBinary(Int128.min, to: echo)
    for bytes in [
        try output(Invocation { (a: Int128, b: String, c: Bool) in c && b.utf8.count == 30 ? a : 0 }),
        try output(Invocation { (a: Int128, b: String) in b.utf8.count == 30 ? a : 0 }), try output(Invocation { (a: Int128) in a }),
        try output(UnaryInvocation { (a: Int128) in a }), try output(Invocation { Int128.min }),
    ] {
        try check(bytes == echo.bytes, "a function of cells takes and gives what lies in them")
    }
    for invocation in [
        VoidInvocation { (a: Int128, b: String, c: Bool) throws in if c && a == .min && b.utf8.count == 30 { throw Thrown() } }
            as any HostInvocation,
        VoidInvocation { (a: Int128, b: String) throws in if a == .min && b.utf8.count == 30 { throw Thrown() } },
        VoidInvocation { (a: Int128) throws in if a == .min { throw Thrown() } },
        UnaryVoidInvocation { (a: Int128) throws in if a == .min { throw Thrown() } },
        UnaryInvocation { (a: Int128) throws -> String in if a == .min { throw Thrown() } else { "" } },
        VoidInvocation { () throws in throw Thrown() },
    ] {
        do {
            _ = try output(invocation)
        } catch InvocationFailure.thrown(let error) where error is Thrown {
            continue
        }
        throw FunctionABIMismatch(description: "a function of cells that throws is known to have thrown")
    }
}

private func verifyRefusals() throws {
    let number = opaque(1)
    let text = opaque("text")
    final class Object: Sendable { func method() -> Int { 1 } }
    let object = opaque(Object())
    let capturing: [(String, Invocation<Int>)] = [
        ("a number", Invocation { number }), ("a string", Invocation { text.utf8.count }), ("an object", Invocation { object.method() }),
        ("an object, by its method", Invocation(object.method)), ("both", Invocation { number + text.utf8.count }),
    ]
    for (what, invocation) in capturing {
        do {
            _ = try invocation.identity
        } catch TransferError.capturesState {
            continue
        }
        throw FunctionABIMismatch(description: "a closure that captures \(what) can be told from one that does not")
    }
}

private struct PrivateType: Codable, Sendable {}
private struct PrivateGeneric<T>: Codable, Sendable { var number = 0 }
private protocol PrivateProtocol {}
private final class PrivateClass<T>: Codable, Sendable {}

private func verifyTypeNames() throws {
    struct LocalType: Codable, Sendable {}
    let types: [Any.Type] = [
        Int.self, [String: Double?].self, PrivateType.self, LocalType.self, [LocalType?].self, PrivateGeneric<PrivateType>.self,
        PrivateClass<LocalType>.self, PrivateGeneric<(PrivateType, label: Int)>.self,
        PrivateGeneric<@Sendable (LocalType) throws -> Void>.self,
        PrivateGeneric<any PrivateProtocol & Sendable>.self, PrivateGeneric<LocalType.Type>.self, Invocation<LocalType, PrivateType>.self,
        Invocation<Int>.self, NoArguments.self, VoidInvocation<Int, [LocalType]>.self,
    ]
    for type in types {
        var writer = PortableWriter()
        try TypeReference.name(of: type).write(to: &writer)
        let found = try writer.finished().withUnsafeBytes { bytes in
            var reader = try PortableReader(bytes)
            return try TypeReference.type(named: MangledName(from: &reader))
        }
        try check(found == type, "\(type) is found by its name")
    }
}
