package import BinaryCoding

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

    /// Publishes what was submitted, gives all slots back, and henceforth takes one only when there is something to put into it.
    package func giveWay() {
        (encodesFirst, slotsAtOnce) = (true, 1)
        // What keeps the pool from taking these calls, the next one hears, too, and takes them back.
        try? publish()
        returnSlots()
    }

    /// As ``submit(publishesAtOnce:_:)``.
    func submitEncoding(_ encodeArguments: (ByteWriter) throws -> Void) throws -> (any Error)? {
        do {
            try encode(encodeArguments)
        } catch {
            try skip()
            return error
        }
        try submitEncoded()
        return nil
    }

    /// Encodes what ``submitEncoded()`` is to submit, or else ``skip()`` to pass over. Other threads may use the run for other things meanwhile, if `makeWay` allows for that.
    package func encode(_ encodeArguments: (ByteWriter) throws -> Void) throws {
        writer.beginApart()
        do {
            try encodeArguments(writer)
        } catch {
            writer.discard()
            throw error
        }
    }

    /// Submits what was encoded, as the next call. Blocks and throws as ``submit(publishesAtOnce:_:)`` does.
    package func submitEncoded(publishesAtOnce: Bool = true) throws {
        let slot: Int
        do {
            slot = try takeSlot()
        } catch {
            writer.discard()
            throw error
        }
        pool.put(function, writer, in: slot)
        enter(slot)
        try publishIfDue(atOnce: publishesAtOnce || encodesFirst)
    }
}
