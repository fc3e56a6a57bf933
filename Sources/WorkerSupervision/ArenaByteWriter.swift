public import BinaryCoding
package import SharedState

/// A writer into a slot's own few bytes, and from there into a block of the arena when they do not suffice.
public final class ArenaByteWriter: ByteWriter {
    private let arena: Arena
    /// The block it has grown into, at an offset of the arena; 0 while the first memory holds everything.
    @exclusivity(unchecked) package private(set) var block = 0

    package init(_ memory: UnsafeMutableRawBufferPointer, in arena: Arena) {
        self.arena = arena
        super.init(memory)
    }

    override public func grow(minimumCapacity: Int) throws -> UnsafeMutableRawBufferPointer {
        let size = max(minimumCapacity, 2 * capacity)
        // Where it is, as long as that can be: what is there already is copied only if it has to move.
        if block != 0, arena.grow(block, to: size) {
            return UnsafeMutableRawBufferPointer(start: arena.base + block, count: arena.capacity(ofBlockAt: block) ?? size)
        }
        // Twice as much is for speed: near the limit, what is needed will do.
        let larger = try (try? arena.allocate(size)) ?? arena.allocate(minimumCapacity)
        let memory = UnsafeMutableRawBufferPointer(start: arena.base + larger, count: arena.capacity(ofBlockAt: larger) ?? minimumCapacity)
        memory.copyMemory(from: written)
        if block != 0 { arena.free(block) }
        block = larger
        return memory
    }

    /// Appends the places of the shared objects that were written, for the receiver to hold on to before anybody decodes. Returns how many there are.
    package func appendHandles() throws -> UInt32 {
        if retained.isEmpty { return 0 }
        try forEachHandle { try append($0) }
        return UInt32(retained.count)
    }

    /// Frees what it has written.
    package func discard() {
        removeAll()
        if block != 0 { arena.free(block) }
        block = 0
    }

    /// Hands the block to whoever reads the bytes: from here on it is theirs to free.
    package func relinquish() -> (bytes: Int, block: Int) { (count, block) }
}
