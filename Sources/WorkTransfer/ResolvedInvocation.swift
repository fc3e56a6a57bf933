package import BinaryCoding

/// A function that came from another process, as it is best called.
///
/// Functions of up to three leaf values (numbers, strings, shared objects), with a leaf value or nothing as their result, are called by what is the same in all such calls. Generic
/// code passes every argument by its address, and takes every result by an address. So a function that takes an `Int`, called the generic way, can be called as if it
/// took a ``LeafCell`` with an `Int` in it, and the calls here, which know all their types, serve for all functions of as many arguments. What generic code asks for
/// at every call, sizes, witness tables, how a type is coded, is found once, when the function is.
///
/// What the arguments' bytes hold besides plain values of the right types, all other functions, and all errors but a function's own are left to the general form.
package final class ResolvedInvocation: AnyInvocation {
    /// How the function is called, and with how many arguments.
    private enum Form: UInt8 {
        case none, one, two, three, unary
        case noneVoid, oneVoid, twoVoid, threeVoid, unaryVoid
        /// By its general form.
        case general
        /// In one of the above ways, with values among them that own memory: strings, shared objects.
        case owning
    }

    private let general: any InvocationOfWords
    private let words: FunctionWords
    private let form: Form
    private let count: Int
    /// Where `form` is ``Form/strings``, which way it is.
    private let owningForm: Form
    private let isVoid: Bool
    private let first: LeafForm
    private let second: LeafForm
    private let third: LeafForm
    private let output: LeafForm

    init(_ general: any InvocationOfWords) {
        let type = type(of: general)
        let isUnary = type.convention == .unary || type.convention == .unaryVoid
        isVoid = type.convention == .packVoid || type.convention == .unaryVoid
        let forms = type.argumentForms ?? []
        count = forms.count
        first = count > 0 ? forms[0] : .none
        second = count > 1 ? forms[1] : .none
        third = count > 2 ? forms[2] : .none
        output = type.outputForm ?? .none
        var form = Form.general
        if type.argumentForms != nil, count <= 3, isVoid || type.outputForm != nil {
            form = Form(rawValue: UInt8(isUnary ? 4 : count) + (isVoid ? 5 : 0)) ?? .general
        }
        owningForm = form
        let hasOwners = output.ownsMemory || forms.contains { $0.ownsMemory }
        self.form = hasOwners && form != .general ? .owning : form
        self.general = general
        words = general.words
    }

    package func invoke(arguments: inout ByteReader, result: ByteWriter) throws(InvocationFailure) {
        let value: LeafCell?
        do { value = try callDirectly(&arguments, result) } catch { throw .thrown(error) }
        if isVoid, value != nil { return }
        if let value {
            do { try result.append(value, as: output) } catch { throw outputFailure(error) }
        } else {
            try invokeGenerally(arguments: &arguments, result: result)
        }
    }

    package var functionName: String { general.functionName }

    /// The function as the host had it.
    package var hostInvocation: any HostInvocation { general }

    /// Whether calls on plain arguments go without the general form.
    var isDirect: Bool { form != .general }

    // MARK: Direct calls

    /// Calls the function, if that can be done directly. Throws what the function does, and nothing else.
    /// - Returns: the result, or an empty cell where there is none; nil if the function was not called, and nothing taken from `arguments`.
    @inline(__always)
    private func callDirectly(_ arguments: inout ByteReader, _ result: ByteWriter) throws -> LeafCell? {
        var a = LeafCell()
        switch form {
        case .none: return try Direct<LeafCell>(words).call()
        case .one where arguments.take(first, into: &a): return try Direct<LeafCell, LeafCell>(words).call(a)
        case .unary where arguments.take(first, into: &a): return try DirectUnary<LeafCell, LeafCell>(words).call(a)
        case .noneVoid: try DirectNone(words).call()
        case .oneVoid where arguments.take(first, into: &a): try DirectVoid<LeafCell>(words).call(a)
        case .unaryVoid where arguments.take(first, into: &a): try DirectUnaryVoid<LeafCell>(words).call(a)
        case .two, .twoVoid, .three, .threeVoid: return try callWithSeveral(&arguments)
        default: return nil
        }
        return a
    }

    @inline(__always)
    private func callWithSeveral(_ arguments: inout ByteReader) throws -> LeafCell? {
        var reader = arguments
        var a = LeafCell()
        var b = LeafCell()
        var c = LeafCell()
        guard reader.take(first, into: &a), reader.take(second, into: &b) else { return nil }
        if count == 3, !reader.take(third, into: &c) { return nil }
        arguments = reader
        return try call(form, a, b, c)
    }

    private func call(_ form: Form, _ a: LeafCell, _ b: LeafCell, _ c: LeafCell) throws -> LeafCell {
        switch form {
        case .none: return try Direct<LeafCell>(words).call()
        case .one: return try Direct<LeafCell, LeafCell>(words).call(a)
        case .two: return try Direct<LeafCell, LeafCell, LeafCell>(words).call(a, b)
        case .three: return try Direct<LeafCell, LeafCell, LeafCell, LeafCell>(words).call(a, b, c)
        case .unary: return try DirectUnary<LeafCell, LeafCell>(words).call(a)
        case .noneVoid: try DirectNone(words).call()
        case .oneVoid: try DirectVoid<LeafCell>(words).call(a)
        case .twoVoid: try DirectVoid<LeafCell, LeafCell>(words).call(a, b)
        case .threeVoid: try DirectVoid<LeafCell, LeafCell, LeafCell>(words).call(a, b, c)
        case .unaryVoid: try DirectUnaryVoid<LeafCell>(words).call(a)
        case .general, .owning: preconditionFailure("not a way of calling")
        }
        return a
    }

    // MARK: The rest

    @inline(never)
    private func invokeGenerally(arguments: inout ByteReader, result: ByteWriter) throws(InvocationFailure) {
        if form == .owning, try invokeWithOwners(arguments: &arguments, result: result) { return }
        try general.invoke(arguments: &arguments, result: result)
    }

    /// As in ``callDirectly``, where values have to be released. Returns whether it called the function.
    private func invokeWithOwners(arguments: inout ByteReader, result: ByteWriter) throws(InvocationFailure) -> Bool {
        var reader = arguments
        var a = LeafCell()
        var b = LeafCell()
        var c = LeafCell()
        var value: LeafCell
        do {
            // The arguments are done with before the result is written: nothing is to be done between that and its being seen.
            var taken = 0
            defer {
                if taken > 0, first.ownsMemory { a.destroy(as: first) }
                if taken > 1, second.ownsMemory { b.destroy(as: second) }
                if taken > 2, third.ownsMemory { c.destroy(as: third) }
            }
            if count > 0 {
                guard reader.take(first, into: &a) else { return false }
                taken = 1
            }
            if count > 1 {
                guard reader.take(second, into: &b) else { return false }
                taken = 2
            }
            if count > 2 {
                guard reader.take(third, into: &c) else { return false }
                taken = 3
            }
            arguments = reader
            value = try call(owningForm, a, b, c)
        } catch { throw .thrown(error) }
        if isVoid { return true }
        do {
            if output.isObject {
                try result.append(moving: value, as: output)
            } else {
                defer { if output.ownsMemory { value.destroy(as: output) } }
                try result.append(value, as: output)
            }
        } catch { throw outputFailure(error) }
        return true
    }

    private func outputFailure(_ error: any Error) -> InvocationFailure {
        .transfer(type(of: general).output(cannotBeEncoded: error))
    }
}
