public import BinaryCoding
package import SharedState

/// A writer into a slot's own few bytes, and from there into a block of the arena when they do not suffice.
public class ArenaByteWriter: ByteWriter {
    private let arena: Arena
    /// The block it has grown into, at an offset of the arena; 0 while the first memory holds everything.
    @exclusivity(unchecked) package private(set) var block = 0

    package init(_ memory: UnsafeMutableRawBufferPointer, in arena: Arena) {
        self.arena = arena
        super.init(memory)
    }

    override public func grow(minimumCapacity: Int) throws -> UnsafeMutableRawBufferPointer {
        let larger = try arena.enlarge(block, holding: written, capacity: capacity, to: minimumCapacity)
        block = larger.block
        return larger.memory
    }

    /// Appends the places of the shared objects that were written, for the receiver to hold on to before anybody decodes. Returns how many there are.
    package func appendHandles() throws -> UInt32 {
        if retained.isEmpty { return 0 }
        try forEachHandle { try append($0) }
        return UInt32(retained.count)
    }

    /// Starts over in other memory. What was written before has been handed over.
    final func restart(in memory: UnsafeMutableRawBufferPointer) {
        block = 0
        reset(to: memory)
    }

    /// Lets go of the objects that were written, once somebody else holds them.
    final func forget() { restart(in: UnsafeMutableRawBufferPointer(start: nil, count: 0)) }

    /// Frees what it has written.
    package func discard() {
        removeAll()
        if block != 0 { arena.free(block) }
        block = 0
    }

    /// Hands the block to whoever reads the bytes: from here on it is theirs to free.
    package func relinquish() -> (bytes: Int, block: Int) { (count, block) }
}
