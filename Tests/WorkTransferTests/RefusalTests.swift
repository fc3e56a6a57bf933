import BinaryCoding
import Testing
import WorkTransfer

/// What captures anything stays here, and says so.
struct RefusalTests {
    private struct Settings: Codable, Sendable {
        var factor = opaque(3)
        func multiply(_ n: Int) -> Int { n * factor }
    }

    /// The text of the refusal; nil where the function may travel.
    private func refusal(_ invocation: some HostInvocation) throws -> String? {
        do {
            _ = try invocation.identity
        } catch TransferError.capturesState(let text) {
            // Both say the same: a cache must not let through what a description would not.
            #expect(throws: TransferError.capturesState(text)) { try invocation.describe() }
            return text
        }
        do {
            _ = try invocation.describe()
            return nil
        } catch TransferError.capturesState(let text) {
            // Only now does anyone look for what a generic context is made of.
            #expect(text.contains("generic"))
            return text
        }
    }

    @Test func capturedValueIsNamedByItsType() throws {
        let (number, text, settings) = (opaque(5), opaque("a"), opaque(Settings()))
        #expect(try refusal(Invocation { (n: Int) in n + number })?.contains("a value of type Swift.Int") == true)
        #expect(try refusal(Invocation { (n: Int) in text })?.contains("a value of type Swift.String") == true)
        #expect(try refusal(Invocation { (n: Int) in settings })?.contains("captures a value") == true)
        #expect(try refusal(Invocation(settings.multiply))?.contains("captures a value") == true)
        #expect(try refusal(VoidInvocation { print(number) })?.contains("a value of type Swift.Int") == true)
    }

    @Test func refusalShowsWhatToDo() throws {
        let number = opaque(5)
        let text = try #require(try refusal(Invocation { (n: Int) in n + number }))
        #expect(text.contains("as an argument"))
        #expect(text.contains(".fork"))
    }

    @Test func capturedObjectIsNamedByItsClass() throws {
        let node = opaque(Node(1))
        #expect(try refusal(Invocation { (n: Int) in node.value + n })?.contains("an object of type WorkTransferTests.Node") == true)
        #expect(try refusal(Invocation(node.plus))?.contains("Node") == true)
        let weakly: @Sendable (Int) -> Int = { [weak node] n in node?.value ?? n }
        let unowned: @Sendable (Int) -> Int = { [unowned node] n in node.value + n }
        #expect(try refusal(Invocation(weakly)) != nil)
        #expect(try refusal(Invocation(unowned)) != nil)
    }

    @Test func severalCapturesAreRefused() throws {
        let (number, text, node) = (opaque(5), opaque("a"), opaque(Node(1)))
        let function: @Sendable (Int) -> Int = opaque(addOne)
        #expect(try refusal(Invocation { (n: Int) in n + number + text.count + node.value }) != nil)
        #expect(try refusal(Invocation { (n: Int) in function(n) + number }) != nil)
    }

    @Test func capturesBehindCastsAndInsideClosuresAreRefused() throws {
        let number = opaque(5)
        let capturing: @Sendable (Int) -> Int = opaque({ @Sendable (n: Int) -> Int in n + number })
        #expect(try refusal(Invocation(capturing)) != nil)
        #expect(try refusal(Invocation(capturing as @Sendable (Int) throws -> Int)) != nil)
        #expect(try refusal(Invocation { (n: Int) in capturing(n) }) != nil)
        #expect(try refusal(unary(capturing)) != nil)
        for function in opaque([capturing, { @Sendable (n: Int) -> Int in n - number }]) {
            #expect(try refusal(Invocation(function)) != nil)
        }
    }

    @Test func sharedVariableIsRefused() throws {
        nonisolated(unsafe) var count = opaque(0)
        let invocation = Invocation { () -> Int in
            count += 1
            return count
        }
        #expect(try refusal(invocation) != nil)
        #expect(count == 0)
    }

    @Test func existentialsMetatypesAndGenericValuesAreRefused() throws {
        let existential: any Codable & Sendable = opaque(5)
        let metatype: any Zero.Type = opaque(Int.self)
        let optional: Int? = opaque(nil)
        let tuple = (opaque(1), opaque("b"))
        #expect(try refusal(Invocation { () -> Bool in existential is Int }) != nil)
        #expect(try refusal(Invocation { () -> Bool in metatype == Int.self }) != nil)
        #expect(try refusal(Invocation { () -> Bool in optional == nil }) != nil)
        #expect(try refusal(Invocation { () -> Bool in tuple.0 == tuple.1.count }) != nil)
        #expect(try refusal(capturing(opaque(5))) != nil)
        #expect(try refusal(capturing(opaque([Node(1)]))) != nil)
    }

    /// Whether these hold their state depends on the optimiser: they are refused, or they work.
    @Test func keyPathsPacksAndEmptyValuesAreRefusedOrWork() throws {
        struct Empty { func answer(_ n: Int) -> Int { n + 1 } }
        try refusedOrReturns(5, Invocation(\String.count as @Sendable (String) -> Int), "abcde")
        try refusedOrReturns(2, packed(1, "a"), 0)
        try refusedOrReturns(4, sized(Sized<3>()), 1)
        try refusedOrReturns(2, distant(Distant()), 0)
        try refusedOrReturns(5, Invocation(opaque(Empty()).answer as @Sendable (Int) -> Int), 4)
    }

    @Test func wrappingWithoutEndIsRefused() throws {
        var function: @Sendable (Int) -> Int = opaque(addOne)
        for _ in 0..<40 {
            let inner = function
            function = opaque({ @Sendable (n: Int) -> Int in inner(n) })
        }
        #expect(try refusal(Invocation(function))?.contains("wrapped") == true)
    }

    private func refusedOrReturns<A: Codable & Sendable>(_ expected: Int, _ invocation: Invocation<A, Int>, _ argument: A) throws {
        guard try refusal(invocation) == nil else { return }
        let again = try invocation.describe().withUnsafeBytes { try resolveInvocation($0) }
        let (arguments, result) = (HeapByteWriter(), HeapByteWriter())
        try Invocation<A, Int>.encodeArguments(argument, to: arguments)
        var reader = ByteReader(arguments.written)
        try again.invoke(arguments: &reader, result: result)
        var output = ByteReader(result.written)
        #expect(try Invocation<A, Int>.decodeOutput(from: &output) == expected)
    }
}

extension Node {
    @Sendable func plus(_ n: Int) -> Int { value + n }
}

private func unary<A: Codable & Sendable, R: Codable & Sendable>(_ function: @escaping @Sendable (A) throws -> R) -> Invocation<A, R> {
    Invocation(function)
}

private func capturing<T: Codable & Sendable>(_ value: T) -> Invocation<T> { Invocation { value } }

private struct Sized<let count: Int> {}

private func sized<let count: Int>(_ value: Sized<count>) -> Invocation<Int, Int> { Invocation { (n: Int) in n + count } }

private protocol Source: Sendable {
    associatedtype Element: Codable & Sendable
    static var elements: [Element] { get }
}
private struct Distant: Source { static var elements: [[String]] { [["a"], ["b"]] } }

/// `[String]: Equatable`, made at run time, is part of the context; nothing there says `[String]`.
private func distant<S: Source>(_ source: S) -> Invocation<Int, Int> where S.Element: Equatable {
    Invocation { (n: Int) in S.elements.first == S.elements.last ? n : S.elements.count }
}

private func packed<each T: Codable & Sendable>(_ value: repeat each T) -> Invocation<Int, Int> {
    Invocation { (n: Int) -> Int in
        var count = n
        for _ in repeat (each T).self { count += 1 }
        return count
    }
}
