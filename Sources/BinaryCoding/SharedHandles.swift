/// What an encoder offers to a shared object (a `SharedValue`, a `SharedLock`): to let its *place* travel instead of its contents.
///
/// Only this module's encoder adopts it. A shared object asks its encoder for it in `encode(to:)`, and throws where the encoder is another
/// (JSON, a property list), because a place in shared memory means nothing outside the family of processes.
package protocol SharedHandleEncoder {
    /// Writes `handle` in place of the value, and keeps `object` alive until the receiver has decoded it.
    func encode(handle: UInt64, of object: AnyObject) throws
    /// What the bytes go to, for what travels in different ways with different messages.
    var writer: ByteWriter { get }
}

/// The counterpart of ``SharedHandleEncoder``.
package protocol SharedHandleDecoder {
    /// Reads what ``SharedHandleEncoder/encode(handle:of:)`` wrote. The bytes may be anything: the caller checks the handle.
    func decodeHandle() throws -> UInt64
    /// All bytes of the message, as long as it is being decoded.
    var bytes: UnsafeRawBufferPointer { get }
}

/// A shared object that says where it is without being asked through an encoder: the quick way for a value that is nothing but an object, or holds some.
package protocol SharedHandleObject: AnyObject {
    /// Its place in shared memory.
    var handle: UInt64 { get }
}

/// The counterpart of ``SharedHandleObject``.
package protocol SharedHandleDecodable: SharedHandleObject, Decodable {
    /// The object at `handle`, which may be anything. Where there is none of this type it is nil, and `init(from:)` says why.
    /// - Parameter isHeld: this process holds the object already, on behalf of what is found: the hold is taken over, unless the answer is nil.
    static func find(handle: UInt64, isHeld: Bool) -> Self?
}

/// Writes objects of type `Object` as their handles.
enum HandleEncoding<Object: SharedHandleObject>: CompositeEncodable {
    static func encode<Same>(_ value: Same, to core: EncodingCore, in parent: Int, key: PathKey) throws {
        _ = try encodeLeaf(value, to: core.writer)
    }

    static func encodeLeaf<Same>(_ value: Same, to writer: ByteWriter) throws -> Bool {
        // `value` is an `Object`.
        let object = unsafeBitCast(value, to: Unmanaged<Object>.self).takeUnretainedValue()
        try writer.encode(handle: object.handle, of: object)
        return true
    }
}

/// Finds objects of type `Object` by their handles.
enum HandleDecoding<Object: SharedHandleDecodable>: CompositeDecodable {
    static var runsUsersCode: Bool { false }

    static func decode<Same>(as type: Same.Type, from slot: Slot, in core: DecodingCore, parent: BinaryDecoder?, key: PathKey) throws
        -> Same
    {
        if slot.tag == Tag.handle, let handle = try? core.source.load(slot.payload, before: slot.payloadEnd, as: UInt64.self),
            let object = Object.find(handle: handle, isHeld: false)
        {
            return unsafeBitCast(object, to: Same.self)
        }
        return unsafeBitCast(try Object(from: core.child(slot, of: parent, key: key)), to: Same.self)
    }
}

/// How `type` is encoded, if it is that of a shared object.
func handleEncoding(of type: Any.Type) -> (any CompositeEncodable.Type)? {
    func encoding<Object: SharedHandleObject>(_ type: Object.Type) -> any CompositeEncodable.Type { HandleEncoding<Object>.self }
    return (type as? any SharedHandleObject.Type).map { encoding($0) }
}

/// How `type` is decoded, if it is that of a shared object.
func handleDecoding(of type: Any.Type) -> (any CompositeDecodable.Type)? {
    func decoding<Object: SharedHandleDecodable>(_ type: Object.Type) -> any CompositeDecodable.Type { HandleDecoding<Object>.self }
    return (type as? any SharedHandleDecodable.Type).map { decoding($0) }
}

extension ByteWriter {
    /// The places of the ``retained`` objects, one after the other. Of the first, and mostly there is but one, it is known: asking an object of any type costs more.
    package final func forEachHandle(_ body: (UInt64) throws -> Void) rethrows {
        if firstHandle != 0 { try body(firstHandle) }
        for case let object as any SharedHandleObject in retained.dropFirst(firstHandle != 0 ? 1 : 0) { try body(object.handle) }
    }

    /// Whether all that was written is one shared object, whose place is the last eight bytes.
    package final var isOneHandle: Bool { length == 9 && firstHandle != 0 && objects.count == 1 }

    @inline(__always)
    final func encode(handle: UInt64, of object: consuming AnyObject) throws {
        let memory = try reserve(9)
        if objects.isEmpty { firstHandle = handle }
        // Before the bytes: keeping an object is an atomic operation, which waits until all that was stored before has arrived, and the memory may be in another
        // processor's hands.
        objects.append(object)
        memory.storeBytes(of: Tag.handle, as: UInt8.self)
        memory.storeBytes(of: handle, toByteOffset: 1, as: UInt64.self)
        advance(by: 9)
    }
}

extension ByteReader {
    /// The object that comes next, if it is one of the type `Object`: without a decoder, as nothing else is in it.
    mutating func takeObject<Object: SharedHandleDecodable>(_ type: Object.Type) -> AnyObject? {
        guard remaining >= 9, let start = bytes.baseAddress.map({ $0 + offset }), start.load(as: UInt8.self) == Tag.handle else {
            return nil
        }
        let handle = (start + 1).loadUnaligned(as: UInt64.self)
        guard let object = Object.find(handle: handle, isHeld: handle == hold) else { return nil }
        if handle == hold { hold = 0 }
        skip(9)
        return object
    }
}
