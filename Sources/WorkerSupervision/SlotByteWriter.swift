import BinaryCoding
import SharedState

/// A writer into a slot: its few bytes in the first line, then its larger ones, then a block of the arena. Used for one payload after the other.
///
/// The host's writers leave their slot before the user's code runs, which may wait for whoever waits for a slot: what is short goes into memory of their own then,
/// and from there into another slot, once all is encoded.
final class SlotByteWriter: ArenaByteWriter {
    @exclusivity(unchecked) private var small = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    @exclusivity(unchecked) private var medium = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// The slot it writes into; -1 when it has left that, or was in none.
    @exclusivity(unchecked) private var slot = -1
    private var own: UnsafeMutableRawBufferPointer?
    /// Called before the user's code runs, with the slot that has been left, or -1: to give back what others may wait for. A writer without it, as a worker's is,
    /// stays in its slot.
    var whenLeaving: ((Int) -> Void)?

    deinit { own?.deallocate() }

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
        self.slot = slot
        restart(in: small)
    }

    /// Starts over without a slot, in `memory` of as many bytes as a slot has.
    func beginApart(in memory: UnsafeMutableRawBufferPointer? = nil) {
        (small, medium, slot) = (memory ?? ownMemory(), UnsafeMutableRawBufferPointer(start: nil, count: 0), -1)
        restart(in: small)
    }

    /// Whether all that was written lies in `memory`, that it began in.
    func isWriting(in memory: UnsafeMutableRawBufferPointer) -> Bool { base == memory.baseAddress }

    /// Whether what was written has no slot yet.
    var isApart: Bool { slot < 0 }

    private func ownMemory() -> UnsafeMutableRawBufferPointer {
        let memory = own ?? .allocate(byteCount: PoolBlock.mediumBytes, alignment: 16)
        own = memory
        return memory
    }

    override func makeWay() -> UnsafeMutableRawBufferPointer? {
        guard let whenLeaving else { return nil }
        let left = slot
        var memory: UnsafeMutableRawBufferPointer?
        if left >= 0 {
            let apart = ownMemory()
            if block == 0 {
                apart.copyMemory(from: written)
                memory = apart
            }
            (small, medium, slot) = (apart, UnsafeMutableRawBufferPointer(start: nil, count: 0), -1)
        }
        whenLeaving(left)
        return memory
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
            if isApart {
                pool.putBytes(written, parts, slot)
            } else if count <= small.count, base != small.baseAddress {
                // What was too long and has been replaced by something shorter is looked for where short things are.
                small.copyMemory(from: written)
            }
            place = PayloadPlace(inlineBytes: count)
        }
        pool.setPlace(isBareHandle ? place.withBareHandle : handles ? place.withHandles : place, parts, slot)
    }
}

extension PoolBlock {
    /// Puts bytes that a slot has room for where they are looked for.
    func putBytes(_ bytes: UnsafeRawBufferPointer, _ parts: PayloadParts, _ slot: Int) {
        (bytes.count <= Self.smallBytes ? small(parts, slot) : medium(parts, slot)).copyMemory(from: bytes)
        setPlace(PayloadPlace(inlineBytes: bytes.count), parts, slot)
    }
}

extension SlotByteWriter {
    /// A writer that writes nowhere before ``begin(_:_:of:)``.
    convenience init(in arena: Arena) { self.init(UnsafeMutableRawBufferPointer(start: nil, count: 0), in: arena) }
}
