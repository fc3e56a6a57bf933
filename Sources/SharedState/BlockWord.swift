/// What a block of the arena is, whose it is, and how often that has changed, in one word: every change is one compare-and-swap, so that a process that
/// dies between two instructions leaves nothing half said.
///
/// Bits 0–3 kind, 4–15 slot of the owning process + 1, 16–31 that slot's generation, 32–63 version. In the word of a granule of small blocks, bits 4–31
/// hold its size class; in that of the further granules of a large block, bits 32–63 hold the number of its first, and bits 4–31 keep the version.
struct BlockWord: Equatable {
    let rawValue: UInt64

    enum Kind: UInt64 {
        case free
        /// Being made or unmade by its owner.
        case claimed
        /// Memory of one process.
        case owned
        /// A shared object, alive while any process holds a handle.
        case object
        /// A granule of small blocks.
        case small
        /// A further granule of a large block.
        case body
    }

    init(rawValue: UInt64) { self.rawValue = rawValue }

    init(_ kind: Kind, owner: ProcessIdentity? = nil, version: UInt32 = 0) {
        rawValue = kind.rawValue | UInt64(owner?.bits ?? 0) << 4 | UInt64(version) << 32
    }

    static func small(sizeClass: Int) -> BlockWord { BlockWord(rawValue: Kind.small.rawValue | UInt64(sizeClass) << 4) }

    /// A free granule as a further one of the large block that begins at `head`.
    func asBody(ofGranule head: Int) -> BlockWord {
        BlockWord(rawValue: Kind.body.rawValue | UInt64((version &+ 1) & 0xfff_ffff) << 4 | UInt64(head) << 32)
    }
    func isBody(ofGranule head: Int) -> Bool { kind == .body && version == UInt32(head) }
    /// Free again, with a version that it has not had: a word of an earlier life must not compare equal.
    var freedBody: BlockWord { BlockWord(.free, version: ownerBits &+ 1) }

    /// Nil for bits that no process of this family writes.
    var kind: Kind? { Kind(rawValue: rawValue & 15) }
    var ownerBits: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 4) & 0xfff_ffff }
    var version: UInt32 { UInt32(rawValue >> 32) }
    var sizeClass: Int { Int(ownerBits) }

    /// The same block in another state: the version counts the change, across frees and reuses.
    func changed(to kind: Kind, owner: ProcessIdentity? = nil) -> BlockWord { BlockWord(kind, owner: owner, version: version &+ 1) }
}

/// A process of the family: its slot in the process table, and which of the slot's users it is.
package struct ProcessIdentity: Hashable, Sendable, BitwiseCopyable {
    package let slot: UInt16
    package let generation: UInt16

    package init(slot: Int, generation: UInt16) {
        self.slot = UInt16(slot)
        self.generation = generation
    }

    /// - Parameter bits: of an identity, and so not 0.
    init(bits: UInt32) { self.init(slot: Int(bits & 0xfff) - 1, generation: UInt16(truncatingIfNeeded: bits >> 12)) }

    /// 28 bits, never 0.
    var bits: UInt32 { UInt32(slot + 1) | UInt32(generation) << 12 }
}
