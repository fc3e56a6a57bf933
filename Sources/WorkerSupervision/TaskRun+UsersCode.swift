package import BinaryCoding

/// Short arguments that have been encoded, and do not have slots yet.
final class EncodedCalls {
    private let memory: UnsafeMutableRawBufferPointer
    private var lengths: [Int] = []
    private static let most = TaskRun.mostAtOnce

    init() { memory = .allocate(byteCount: Self.most * PoolBlock.mediumBytes, alignment: 16) }
    deinit { memory.deallocate() }

    var count: Int {
        get { lengths.count }
        set { lengths.removeLast(lengths.count - newValue) }
    }
    var isFull: Bool { count == Self.most }

    /// Where the one is to be encoded that ``append(_:)`` then adds. It must not be full.
    var next: UnsafeMutableRawBufferPointer { room(count) }
    func append(_ length: Int) { lengths.append(length) }

    subscript(place: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: room(place)[..<lengths[place]]) }

    private func room(_ place: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: memory[place * PoolBlock.mediumBytes..<(place + 1) * PoolBlock.mediumBytes])
    }
}

/// Submitting arguments that the user's own code encodes, or results that it decodes.
///
/// An `encode(to:)` may do anything: call functions of the same pool, or wait for another thread that does. If many runs kept slots and unpublished calls
/// meanwhile, there would be none left for these. So nothing is held that others could wait for: what is to be sent is encoded first, and a slot is taken after that.
extension TaskRun {
    /// Called by the writer, which has left `slot`, if that is one.
    func leave(_ slot: Int) {
        if slot >= 0 { free.append(Int32(slot)) }
        if let makeWay { makeWay() } else { giveWay() }
    }

    /// Publishes what has slots, gives all others back, and henceforth takes slots only when there is something to put into them.
    package func giveWay() {
        (encodesFirst, slotsAtOnce) = (true, 1)
        if window > 1, encoded == nil { encoded = EncodedCalls() }
        // What keeps the pool from taking these calls, the next one hears, too, and takes them back.
        try? publishEntered()
        returnSlots()
    }

    /// As ``submit(publishesAtOnce:_:)``.
    func submitEncoding(publishesAtOnce: Bool, _ encodeArguments: (ByteWriter) throws -> Void) throws -> (any Error)? {
        do {
            try encode(encodeArguments)
        } catch {
            try skip()
            return error
        }
        try submitEncoded(publishesAtOnce: publishesAtOnce)
        return nil
    }

    /// Makes calls of what was encoded. Blocks while there is no free slot.
    func enterEncoded() throws {
        guard let encoded, encoded.count > 0 else { return }
        defer { slotsAtOnce = 1 }
        for place in 0..<encoded.count {
            slotsAtOnce = encoded.count - place
            let slot = try takeSlot()
            pool.block.putBytes(encoded[place], pool.block.argumentsParts, slot)
            pool.set(function, in: slot)
            enter(slot)
        }
        encoded.count = 0
    }

    /// Encodes what ``submitEncoded(publishesAtOnce:)`` is to submit, or else ``skip()`` to pass over. Other threads may use the run for other things meanwhile, if
    /// `makeWay` allows for that.
    package func encode(_ encodeArguments: (ByteWriter) throws -> Void) throws {
        writer.beginApart(in: encodesFirst ? encoded?.next : nil)
        do {
            try encodeArguments(writer)
        } catch {
            writer.discard()
            throw error
        }
    }

    /// Submits what was encoded, as the next call. What is short waits for some more like it: slots are taken for all of them at once. Blocks and throws as
    /// ``submit(publishesAtOnce:_:)`` does.
    package func submitEncoded(publishesAtOnce: Bool) throws {
        if let encoded, writer.isWriting(in: encoded.next), !writer.retainsObjects {
            encoded.append(writer.count)
            return try publishIfDue(atOnce: publishesAtOnce || encoded.isFull, count: encoded.count)
        }
        let slot: Int
        do {
            try enterEncoded()
            slot = try takeSlot()
        } catch {
            writer.discard()
            throw error
        }
        pool.put(function, writer, in: slot)
        if writer.retainsObjects { writer.forget() }
        enter(slot)
        try publishIfDue(atOnce: publishesAtOnce || encodesFirst)
    }
}
