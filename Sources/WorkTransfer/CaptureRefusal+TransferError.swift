extension CaptureRefusal {
    /// The refusal in words: what is captured, and how to pass it instead.
    var asTransferError: TransferError {
        let remedy =
            "a worker has none of this process's memory. Pass the value as an argument, as in submit({ (x: Int) in x + 1 }, value), or use a "
            + "ChildProcess whose configuration says startMethod = .fork: that one may capture anything"
        switch self {
        case .object(let metadata):
            return .capturesState("the function captures \(Self.describe(object: metadata)); \(remedy)")
        case .value(let name):
            let what = name.type.map { "a value of type \(readableName(of: $0))" } ?? "a value"
            return .capturesState("the function captures \(what); \(remedy)")
        case .genericContext:
            return .capturesState(
                "the function was written inside a generic function and captures its generic parameters in a form that cannot travel (a parameter "
                    + "pack, an integer, or an associated type); write it as a function of its own, outside of that one")
        case .unknown:
            return .capturesState(
                "the function captures something that cannot be told, as a generic value, or all captures of a program built with "
                    + "-disable-reflection-metadata; \(remedy)")
        }
    }

    private static func describe(object metadata: TypeMetadata) -> String {
        // The kind of a class is zero. All others a context can point to are boxes of the runtime, which have no name.
        guard metadata.kind == .class else { return "a variable" }
        return "an object of type \(readableName(of: metadata.type))"
    }
}
