import BinaryCoding
import SystemLayer

/// What a descriptor that travels is to its receiver.
enum DescriptorKind: Int, Sendable {
    case connection = 1
    case other = 2
}

/// How descriptors travel inside values. In a message of a ``Connection`` they go along beside the bytes, which say which one is meant; in arguments and results
/// of tasks, which have no such way, the bytes name a deposit in the family's ``DescriptorDepot``.
enum DescriptorTransfer {
    /// Marks a number as that of a descriptor of the same message. No place in the arena has this bit.
    private static let beside: UInt64 = 1 << 63

    static func encode(_ descriptor: GuardedDescriptor, _ kind: DescriptorKind, of object: some AnyObject, to encoder: any Encoder) throws {
        guard let encoder = encoder as? any SharedHandleEncoder else {
            throw EncodingError.invalidValue(
                object,
                EncodingError.Context(
                    codingPath: encoder.codingPath,
                    debugDescription: """
                        A \(type(of: object)) is an open descriptor: it can be an argument or a result of work of this family of processes, or part of a message \
                        between them, and cannot be written elsewhere.
                        """))
        }
        if let message = encoder.writer as? ConnectionWriter {
            let index = try message.attach(descriptor)
            try encoder.encode(handle: beside | UInt64(kind.rawValue) << 32 | UInt64(index), of: descriptor)
        } else {
            let deposit = try DescriptorDepot.deposit(descriptor, kind)
            try encoder.encode(handle: deposit.handle, of: deposit)
        }
    }

    static func decode(_ kind: DescriptorKind, for type: any Any.Type, from decoder: any Decoder) throws -> GuardedDescriptor {
        guard let source = decoder as? any SharedHandleDecoder else {
            throw handleError(type, decoder, "A \(type) can only come from a process of the same family.")
        }
        let handle = try source.decodeHandle()
        if handle & beside == 0 {
            do { return try DescriptorDepot.fetch(handle, kind) } catch { throw handleError(type, decoder, "\(error)") }
        }
        guard (handle & ~beside) >> 32 == UInt64(kind.rawValue),
            let descriptor = MessageDescriptors.descriptor(UInt32(truncatingIfNeeded: handle), besides: source.bytes)
        else { throw handleError(type, decoder, "There is no \(type) with the message.") }
        return descriptor
    }
}

/// The descriptors that came with messages which are being decoded, found by where the message's bytes are.
final class MessageDescriptors: @unchecked Sendable {
    // Unchecked: nothing changes after init.
    private let descriptors: [GuardedDescriptor]
    private let place: UInt

    private nonisolated(unsafe) static var known: [UInt: Unmanaged<MessageDescriptors>] = [:]  // guarded by `DescriptorService.lock`

    /// Takes over descriptors. Those that nobody has asked for are closed with this object.
    init(owning numbers: some Sequence<Int32>, besides bytes: UnsafeRawBufferPointer) {
        descriptors = numbers.map { GuardedDescriptor(owning: $0) }
        place = UInt(bitPattern: bytes.baseAddress)
        DescriptorService.lock.withLock { Self.known[place] = .passUnretained(self) }
    }

    deinit { DescriptorService.lock.withLock { _ = Self.known.removeValue(forKey: place) } }

    static func descriptor(_ index: UInt32, besides bytes: UnsafeRawBufferPointer) -> GuardedDescriptor? {
        let message = DescriptorService.lock.withLock { known[UInt(bitPattern: bytes.baseAddress)]?.takeUnretainedValue() }
        guard let message, index < message.descriptors.count else { return nil }
        return message.descriptors[Int(index)]
    }
}
