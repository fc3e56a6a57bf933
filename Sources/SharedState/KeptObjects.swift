/// The shared objects that the messages of a ring name, and that its keeper holds. Used under the ring's lock.
///
/// A keeper holds an object once, however many messages name it, as a hold is a bit. So when a message goes it has to be known whether another names the same
/// object. Counts tell, in nearly all cases without a look at the others: of the objects that share a place in a table. Where they leave it open, the messages say.
struct KeptObjects {
    let keeper: Keeper
    private let counts: UnsafeMutablePointer<UInt32>
    private let mask: Int
    private let arena: Arena

    /// How many places there are for a ring of that many messages.
    private static func places(forMessages count: Int) -> Int {
        // More than a million would be of little use: a table of that size is no longer in any cache.
        var places = 16
        while places < 2 * min(count, 1 << 19) { places *= 2 }
        return places
    }

    static func size(forMessages count: Int) -> Int { places(forMessages: count) * MemoryLayout<UInt32>.stride }

    /// - Parameter counts: the place of ``size(forMessages:)`` bytes.
    init(keeper: Keeper, counts: Int, messages: Int, in arena: Arena) {
        self.keeper = keeper
        self.counts = (arena.base + counts).assumingMemoryBound(to: UInt32.self)
        mask = Self.places(forMessages: messages) - 1
        self.arena = arena
    }

    private func count(of handle: UInt64) -> UnsafeMutablePointer<UInt32> {
        // Places are multiples of 64. Fibonacci hashing spreads those of neighbouring objects.
        counts + (Int(truncatingIfNeeded: (handle &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask)
    }

    /// Holds the objects of a message that is about to be one of the ring's. The calling process holds them until it is.
    func keep(_ message: Message) {
        message.forEachHandle(in: arena) { handle in
            count(of: handle).pointee &+= 1
            ObjectBlock(offset: Int(handle), in: arena).addHolder(keeper.identity)
        }
    }

    /// Has the calling process hold the objects of a message that no longer is the ring's, and the keeper no longer those that no other message names.
    func handOver(_ message: Message, isNamed: (UInt64) -> Bool) {
        message.forEachHandle(in: arena) { handle in
            HandleRegistry.takeCustody(of: handle, in: arena)
            let count = count(of: handle)
            count.pointee &-= 1
            if count.pointee == 0 || !isNamed(handle) { ObjectBlock(offset: Int(handle), in: arena).removeHolder(keeper.identity) }
        }
    }

    // MARK: After a death

    func beginRecount() { counts.update(repeating: 0, count: mask + 1) }
    func recount(_ handle: UInt64) { count(of: handle).pointee &+= 1 }
}
