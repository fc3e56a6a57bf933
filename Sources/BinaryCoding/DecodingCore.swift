/// What all decoders and containers of one `decodeBinary` share: the bytes, and for how long they may be read.
///
/// Unlike encoders, decoders keep no state in here: a value may keep its decoder or a container and read from it later, as long as the
/// `decodeBinary` around it runs. After that the bytes may be gone, so everything throws.
final class DecodingCore {
    // Unchecked as in ByteWriter, for the same reason.
    @exclusivity(unchecked) private(set) var source: Source
    @exclusivity(unchecked) private(set) var isActive = true
    @exclusivity(unchecked) private var stack = StackGuard()

    init(_ bytes: UnsafeRawBufferPointer) { source = Source(bytes: bytes) }

    /// The bytes are not to be touched any more.
    func finish() {
        isActive = false
        source = Source(bytes: UnsafeRawBufferPointer(start: nil, count: 0))
    }

    // MARK: Values

    /// The value in `slot`. `parent` is the decoder around it, `key` how it is reached from there.
    @inline(__always)
    func decode<T: Decodable>(_ type: T.Type, plan: Plan, from slot: Slot, parent: BinaryDecoder?, key: @autoclosure () -> PathKey) throws
        -> T
    {
        switch plan.pointee.decoding {
        case .raw:
            if source.holdsNumber(slot, plan: plan) { return source.loadNumber(T.self, plan: plan, from: slot) }
            return try decodeOtherRaw(T.self, plan: plan, from: slot, parent: parent, key: key())
        case .string:
            // The plan says that T is String.
            return unsafeBitCast(try decodeString(from: slot, parent: parent, key: key()), to: T.self)
        case .composite:
            guard let decoder = plan.pointee.decoder else { preconditionFailure("a plan without its decoder") }
            return try decoder.decode(as: T.self, from: slot, in: self, parent: parent, key: key())
        case .codable:
            return try T(from: child(slot, of: parent, key: key()))
        }
    }

    // Apart, so that the common path does not look up the types of pointers to T.
    @inline(never)
    private func decodeOtherRaw<T>(_ type: T.Type, plan: Plan, from slot: Slot, parent: BinaryDecoder?, key: PathKey) throws -> T {
        try withUnsafeTemporaryAllocation(of: T.self, capacity: 1) { room in
            // A buffer of one element has an address.
            let address = room.baseAddress.unsafelyUnwrapped
            try decodeRaw(UnsafeMutableRawPointer(address), plan: plan, type: T.self, from: slot, parent: parent, key: key)
            return address.move()
        }
    }

    /// The decoder of `slot`.
    func child(_ slot: Slot, of parent: BinaryDecoder?, key: PathKey) throws -> BinaryDecoder {
        let level = (parent?.level ?? 0) + 1
        if let refusal = stack.refusal(atLevel: level) { throw corrupted(refusal, parent: parent, key: key) }
        return BinaryDecoder(core: self, slot: slot, parent: parent, key: key, level: level)
    }

    private func decodeRaw(
        _ address: UnsafeMutableRawPointer, plan: Plan, type: any Any.Type, from slot: Slot, parent: BinaryDecoder?,
        key: @autoclosure () -> PathKey
    ) throws {
        let length = slot.payloadEnd - slot.payload
        guard slot.tag == plan.pointee.tag, length == plan.pointee.size || length == plan.pointee.stride else {
            if let number = plan.pointee.number, try number.convert(slot, in: source, to: address) { return }
            throw mismatch(type, slot, parent: parent, key: key())
        }
        let bytes = UnsafeRawBufferPointer(rebasing: source.bytes[slot.payload..<slot.payload + plan.pointee.size])
        if let checked = plan.pointee.checked, !checked.accepts(bytes) {
            throw corrupted("no \(type) has this byte", parent: parent, key: key())
        }
        if let start = bytes.baseAddress { address.copyMemory(from: start, byteCount: bytes.count) }
    }

    /// A number or a Bool, as ``decode(_:plan:from:parent:key:)`` but with its type known when compiled.
    @inline(__always)
    func decodeScalar<S: RawElement>(_ type: S.Type, from slot: Slot, parent: BinaryDecoder?, key: @autoclosure () -> PathKey) throws -> S {
        if slot.tag == S.tag, S.self != Bool.self {
            return try source.load(slot.payload, before: slot.payloadEnd)
        }
        return try withUnsafeTemporaryAllocation(of: S.self, capacity: 1) { room in
            let address = UnsafeMutableRawPointer(room.baseAddress.unsafelyUnwrapped)
            try decodeRaw(address, plan: TypePlan.of(S.self), type: S.self, from: slot, parent: parent, key: key())
            return address.load(as: S.self)
        }
    }

    func decodeString(from slot: Slot, parent: BinaryDecoder?, key: @autoclosure () -> PathKey) throws -> String {
        guard slot.tag == Tag.shortString || slot.tag == Tag.longString else {
            throw mismatch(String.self, slot, parent: parent, key: key())
        }
        let utf8 = UnsafeRawBufferPointer(rebasing: source.bytes[slot.payload..<slot.payloadEnd])
        // This repairs what is not UTF-8, and if it had to, the string differs from the bytes. Several times faster than `String(validating:as:)`.
        var string = String(decoding: utf8, as: UTF8.self)
        guard string.withUTF8({ UnsafeRawBufferPointer($0).elementsEqualInMemory(utf8) }) else {
            throw corrupted("a string that is not UTF-8", parent: parent, key: key())
        }
        return string
    }

    /// One `some` less: what an optional holds that is not nil.
    func unwrapped(_ slot: Slot) throws -> Slot {
        slot.tag == Tag.some ? try source.slot(at: slot.payload, before: slot.payloadEnd) : slot
    }

    // MARK: Arrays

    func decodeArray<Element: Decodable>(
        of type: Element.Type, plan: Plan, from slot: Slot, parent: BinaryDecoder?, key: PathKey
    ) throws -> [Element] {
        if slot.tag == Tag.rawArray, plan.pointee.decoding == .raw {
            let layout: RawArrayLayout
            do { layout = try RawArrayLayout(slot, in: source) } catch { throw corrupted(error, parent: parent, key: key) }
            if layout.tag == plan.pointee.tag, layout.stride == plan.pointee.stride {
                return try copyArray(layout, plan: plan, parent: parent, key: key)
            }
        }
        let decoder = try child(slot, of: parent, key: key)
        var elements = try UnkeyedDecoder(decoder, type: [Element].self)
        let count = try elements.remainingCount()
        var array: [Element] = []
        // Never more memory than there are bytes, whatever they claim.
        array.reserveCapacity(min(count, (slot.payloadEnd - slot.payload) / plan.pointee.stride + 1))
        if slot.tag == Tag.rawArray {
            for _ in 0..<count { array.append(try elements.next(Element.self, plan: plan)) }
            return array
        }
        // The same without the container, which costs as much as a small element.
        var cursor = Cursor(slot)
        for place in 0..<count {
            let element: Slot
            do {
                _ = try cursor.settle(in: source)
                element = try source.slot(at: cursor.position, before: cursor.end)
            } catch { throw corrupted(error, parent: decoder, key: .index(place)) }
            array.append(try decode(Element.self, plan: plan, from: element, parent: decoder, key: .index(place)))
            cursor.position = element.end
        }
        return array
    }
}
