import BinaryCoding
import SharedState

/// A writer into a slot: its few bytes in the first line, then its larger ones, then a block of the arena. Used for one payload after the other.
final class SlotByteWriter: ArenaByteWriter {
    @exclusivity(unchecked) private var small = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    @exclusivity(unchecked) private var medium = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    /// A free slot that was taken for what is written next; -1 for none.
    @exclusivity(unchecked) var nextSlot = -1

    @inline(__always)
    func takeSlot() -> Int? {
        defer { nextSlot = -1 }
        return nextSlot < 0 ? nil : nextSlot
    }

    /// Starts over in the memory of a slot.
    func begin(_ parts: PayloadParts, _ slot: Int, of pool: PoolBlock) {
        small = pool.small(parts, slot)
        medium = pool.medium(parts, slot)
        restart(in: small)
    }

    override func grow(minimumCapacity: Int) throws -> UnsafeMutableRawBufferPointer {
        guard base == small.baseAddress, minimumCapacity <= medium.count else { return try super.grow(minimumCapacity: minimumCapacity) }
        medium.copyMemory(from: written)
        return medium
    }

    /// Notes in the slot where its payload is. The block, if there is one, is from here on the reader's to free.
    func end(_ parts: PayloadParts, _ slot: Int, of pool: PoolBlock, handles: Bool = false, isBareHandle: Bool = false) {
        let place: PayloadPlace
        if block != 0 {
            pool.blockBytes(parts, slot).pointee = count
            place = PayloadPlace(block: block)
        } else {
            // What was too long and has been replaced by something shorter is looked for where short things are.
            if count <= small.count, base != small.baseAddress { small.copyMemory(from: written) }
            place = PayloadPlace(inlineBytes: count)
        }
        pool.setPlace(isBareHandle ? place.withBareHandle : handles ? place.withHandles : place, parts, slot)
    }
}

extension SlotByteWriter {
    /// A writer that writes nowhere before ``begin(_:_:of:)``.
    convenience init(in arena: Arena) { self.init(UnsafeMutableRawBufferPointer(start: nil, count: 0), in: arena) }
}
