import CMultiprocessing

/// Finds names of functions for messages.
enum FunctionName {
    /// The name of the first function in the chain that a programmer wrote; else the signature and the place of its code.
    static func name(of function: FunctionWords, signature: String) -> String {
        var function = function
        for _ in 0..<FunctionReference.depthLimit {
            if let name = symbol(at: function.code), !name.contains("reabstraction thunk") { return name }
            guard let context = UnsafeRawPointer(bitPattern: function.context), let box = try? ThunkBox(context), box.shape.functions == 1 else { break }
            function = box.function(0)
        }
        return "\(signature) at \(place(of: function.code))"
    }

    /// The demangled name of the symbol that holds `address`.
    private static func symbol(at address: UInt) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
            guard let name = buffer.baseAddress else { return nil }
            let length = mp_image_symbol(address, name, buffer.count)
            guard length > 0 else { return nil }
            return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { readable in
                guard let start = readable.baseAddress, mp_runtime_demangle(name, length, start, readable.count) > 0 else {
                    return String(cString: name)
                }
                return withoutPrefixes(String(cString: start))
            }
        }
    }

    /// What the compiler made of a function is of no interest to whoever wrote it.
    private static func withoutPrefixes(_ name: String) -> String {
        var name = name[...]
        for prefix in ["partial apply forwarder for ", "merged ", "implicit closure #1 "] where name.hasPrefix(prefix) {
            name = name.dropFirst(prefix.count)
        }
        return String(name)
    }

    private static func place(of address: UInt) -> String {
        var image = mp_image()
        guard mp_image_containing(address, 1, Int32(MP_IMAGE_EXECUTABLE), &image) else { return "0x" + String(address, radix: 16) }
        let name = image.is_main ? CommandLine.arguments.first ?? "" : String(cString: image.name)
        return "\(name.split(separator: "/").last ?? "the executable")+0x\(String(address - image.base, radix: 16))"
    }
}
